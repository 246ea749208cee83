/*
 * ublk_state.c - the state file: lines of "key value", first the version, last the word end
 *
 * Text, because the one who reads it besides us is a person with a broken machine. A reader skips
 * keys it does not know (a newer daemon wrote them) and insists on those it cannot do without; a
 * file without its last line was cut short and is refused. Values are numbers, or strings to the
 * end of the line, so a string with a control character is refused when written.
 *
 * The boot id is in it: device numbers start anew with the kernel, and a run directory that
 * outlives a boot (a container's) must not lead to another program's device.
 *
 * Writing is: temporary file, fsync, rename. The file is root's alone, for a URI may name a user.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_state.h"

#define STATE_VERSION 1
#define PATH_BYTES    256
#define LINE_BYTES    (URI_BYTES_MAX + 64)
#define LINES_MAX     256
#define BOOT_ID_PATH  "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_BYTES 40

/* Every number and flag of the state, with its place and bounds: reader and writer share this
 * table. */
struct field {
	const char *key;
	size_t at;
	uint8_t bytes; /* of the number: 1, 2, 4, 8 */
	bool is_needed;
	uint64_t min, max; /* what the daemon relies on, whichever version wrote the file */
};

#define FIELD(key, member, needed, min, max)                                                       \
	{                                                                                          \
		key, offsetof(struct ublk_state, member),                                          \
			sizeof(((struct ublk_state *)0)->member), needed, min, max                 \
	}
#define FLAG(key, member, needed) FIELD(key, member, needed, 0, 1)
#define DAY_MS			  (24u * 3600 * 1000)
#define BLOCK_PREF_MAX		  (1u << 31)

static const struct field fields[] = {
	FIELD("device", dev_id, true, 0, INT32_MAX),
	FIELD("queues", queues, false, 0, UBLK_QUEUE_MAX),
	FIELD("queue_depth", queue_depth, true, 1, QUEUE_DEPTH_MAX),
	FIELD("io_bytes_max", io_bytes_max, true, NBD_BLOCK_BYTES_MIN, IO_BYTES_MAX),
	FLAG("user_copy", user_copy, true),
	FIELD("size_bytes", limits.size_bytes, true, NBD_BLOCK_BYTES_MIN, INT64_MAX),
	FIELD("block_min", limits.block_min, true, NBD_BLOCK_BYTES_MIN, NBD_BLOCK_BYTES_MAX),
	FIELD("block_pref", limits.block_pref, false, NBD_BLOCK_BYTES_MIN, BLOCK_PREF_MAX),
	FIELD("limit_io_bytes", limits.io_bytes_max, false, NBD_BLOCK_BYTES_MIN, IO_BYTES_MAX),
	FIELD("limit_trim_bytes", limits.trim_bytes_max, false, 0, UINT32_MAX),
	FIELD("trim_granularity", limits.trim_granularity, false, 0, UINT32_MAX),
	FLAG("read_only", limits.is_read_only, true),
	FLAG("rotational", limits.is_rotational, false),
	FLAG("flush", limits.can_flush, true),
	FLAG("fua", limits.can_fua, true),
	FLAG("trim", limits.can_trim, true),
	FLAG("write_zeroes", limits.can_write_zeroes, true),
	FLAG("fast_zero", limits.can_fast_zero, false),
	FLAG("multi_conn", limits.can_multi_conn, false),
	FIELD("volume.connections", volume.connections, false, 0, VOLUME_CONN_MAX),
	FIELD("volume.queue_depth", volume.queue_depth, false, 1, QUEUE_DEPTH_MAX),
	FIELD("volume.io_bytes_max", volume.io_bytes_max, false, NBD_BLOCK_BYTES_MIN, IO_BYTES_MAX),
	FIELD("volume.on_dead", volume.on_dead, false, ON_DEAD_HOLD, ON_DEAD_FAIL),
	FIELD("volume.unstable", volume.unstable, false, UNSTABLE_TRUST, UNSTABLE_THROUGH),
	FIELD("volume.dead_ms", volume.dead_ms, false, 0, DAY_MS),
	FIELD("volume.request_ms", volume.request_ms, false, 0, DAY_MS),
	FIELD("volume.dead_peer_ms", volume.dead_peer_ms, false, 0, DAY_MS),
	FIELD("volume.connect_ms", volume.connect_ms, false, 0, DAY_MS),
	FIELD("volume.copy", volume.copy, false, COPY_AUTO, COPY_USER),
	FLAG("volume.read_only", volume.read_only, false),
};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static_assert(FIELD_COUNT <= 32, "which fields were seen is a 32-bit mask");
static_assert(
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied from their low byte on");

static void path_make(char *path, const char *run_dir, int dev_id, const char *suffix)
{
	snprintf(path, PATH_BYTES, "%s/ublk-%d.state%s", run_dir, dev_id, suffix);
}

static int boot_id_read(char id[BOOT_ID_BYTES])
{
	FILE *file = fopen(BOOT_ID_PATH, "re");
	bool is_read;

	if (!file)
		return -errno;
	is_read = fgets(id, BOOT_ID_BYTES, file);
	fclose(file);
	if (!is_read)
		return -EIO;
	id[strcspn(id, "\n")] = '\0';
	return 0;
}

/* ---- numbers in the struct, whatever their width ---- */

static uint64_t field_get(const struct ublk_state *s, const struct field *f)
{
	const uint8_t *at = (const uint8_t *)s + f->at;
	uint64_t value = 0;

	memcpy(&value, at, f->bytes);
	return value;
}

static int field_set(struct ublk_state *s, const struct field *f, uint64_t value)
{
	bool is_absent = value == 0 && !f->is_needed;

	if ((value < f->min && !is_absent) || value > f->max)
		return -ERANGE;
	memcpy((uint8_t *)s + f->at, &value, f->bytes);
	return 0;
}

/* ---- write ---- */

static bool is_one_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static int state_print(FILE *file, const struct ublk_state *s, const char *boot_id)
{
	fprintf(file, "sluice-ublk-state %d\n", STATE_VERSION);
	fprintf(file, "boot %s\n", boot_id);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		fprintf(file, "%s %" PRIu64 "\n", fields[i].key, field_get(s, &fields[i]));
	if (!is_one_line(s->volume.name) || !is_one_line(s->volume.cc))
		return -EINVAL;
	fprintf(file, "volume.name %s\n", s->volume.name);
	fprintf(file, "volume.cc %s\n", s->volume.cc);
	for (unsigned i = 0; i < s->volume.uri_count; i++) {
		if (!is_one_line(s->volume.uris[i]))
			return -EINVAL;
		fprintf(file, "volume.uri %s\n", s->volume.uris[i]);
	}
	fprintf(file, "end\n");
	if (fflush(file) != 0 || fsync(fileno(file)) != 0)
		return -errno;
	return 0;
}

int ublk_state_write(const char *run_dir, const struct ublk_state *state, struct error *err)
{
	char path[PATH_BYTES], temporary[PATH_BYTES], boot_id[BOOT_ID_BYTES];
	FILE *file;
	int fd, rc;

	assert(state->dev_id >= 0 && state->volume.uri_count <= VOLUME_URI_MAX);
	rc = boot_id_read(boot_id);
	if (rc < 0)
		return error_set(err, rc, "%s: %s", BOOT_ID_PATH, strerror(-rc));
	path_make(path, run_dir, state->dev_id, "");
	path_make(temporary, run_dir, state->dev_id, ".new");
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_set(err, -errno, "%s: %s", temporary, strerror(errno));
	file = fdopen(fd, "w");
	if (!file) {
		rc = -errno;
		close(fd);
		goto err_unlink;
	}
	rc = state_print(file, state, boot_id);
	if (fclose(file) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) != 0)
		rc = -errno;
	if (rc == 0)
		return 0;
err_unlink:
	unlink(temporary);
	return error_set(err, rc, "writing %s: %s", path, strerror(-rc));
}

/* ---- read ---- */

struct reader {
	struct ublk_state *state;
	uint32_t seen; /* bit i: fields[i] was there */
	bool is_stale, is_ended;
	char boot_id[BOOT_ID_BYTES];
	const struct field *wrong; /* … whose value is out of bounds; NULL = none */
	uint64_t wrong_value;
};

static int string_set(char *to, size_t bytes, const char *value)
{
	if (strlen(value) >= bytes)
		return -EINVAL;
	memcpy(to, value, strlen(value) + 1);
	return 0;
}

static int number_take(struct reader *r, const char *key, const char *value)
{
	unsigned long long number;
	char *end;

	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (strcmp(key, fields[i].key) != 0)
			continue;
		errno = 0;
		number = strtoull(value, &end, 10);
		if (errno || end == value || *end || *value == '-')
			return -EINVAL;
		r->seen |= 1u << i;
		if (field_set(r->state, &fields[i], number) == 0)
			return 0;
		r->wrong = &fields[i];
		r->wrong_value = number;
		return -ERANGE;
	}
	return 0; /* a key of a newer version */
}

static int line_take(struct reader *r, char *line)
{
	struct config_volume *v = &r->state->volume;
	char *value = strchr(line, ' ');

	if (strcmp(line, "end") == 0) {
		r->is_ended = true;
		return 0;
	}
	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (strcmp(line, "boot") == 0) {
		r->is_stale = strcmp(value, r->boot_id) != 0;
		return 0;
	}
	if (strcmp(line, "volume.name") == 0)
		return string_set(v->name, sizeof(v->name), value);
	if (strcmp(line, "volume.cc") == 0)
		return string_set(v->cc, sizeof(v->cc), value);
	if (strcmp(line, "volume.uri") == 0) {
		if (v->uri_count == VOLUME_URI_MAX)
			return -EINVAL;
		return string_set(v->uris[v->uri_count++], sizeof(v->uris[0]), value);
	}
	return number_take(r, line, value);
}

static int file_parse(FILE *file, struct reader *r)
{
	char line[LINE_BYTES], version[32];
	int rc = 0;

	snprintf(version, sizeof(version), "sluice-ublk-state %d\n", STATE_VERSION);
	if (!fgets(line, sizeof(line), file) || strcmp(line, version) != 0)
		return -EINVAL;
	for (unsigned i = 0; i < LINES_MAX && rc == 0 && !r->is_ended; i++) {
		size_t len;

		if (!fgets(line, sizeof(line), file))
			return -EINVAL;
		len = strlen(line);
		if (len == 0 || line[len - 1] != '\n')
			return -EINVAL; /* cut short, or a line no writer of ours makes */
		line[len - 1] = '\0';
		rc = line_take(r, line);
	}
	return rc;
}

static bool is_power_of_two(uint64_t n)
{
	return n && (n & (n - 1)) == 0;
}

/* What no bound of one number tells. A number that may be missing is 0 then. */
static bool numbers_agree(const struct ublk_state *s)
{
	const struct block_limits *l = &s->limits;

	return is_power_of_two(l->block_min) &&
	       (!l->block_pref || is_power_of_two(l->block_pref)) &&
	       l->size_bytes % l->block_min == 0;
}

/* What a URI means is for the attach to say, with the reason in `status`. */
static bool strings_are_fit(const struct config_volume *v)
{
	for (unsigned i = 0; i < v->uri_count; i++)
		if (!is_one_line(v->uris[i]))
			return false;
	return v->uri_count > 0 && v->name[0] && is_one_line(v->name) && is_one_line(v->cc);
}

/* Before dead_peer_timeout there was, 15 s was the default of request_timeout. */
static void defaults_follow(struct reader *r)
{
	struct config_volume *v = &r->state->volume;

	if (v->dead_peer_ms == 0 && v->request_ms == 15000)
		v->request_ms = 0;
}

static int reader_check(struct reader *r, int dev_id)
{
	const struct ublk_state *s = r->state;

	if (!r->is_ended || s->dev_id != dev_id || !numbers_agree(s))
		return -EINVAL;
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (fields[i].is_needed && !(r->seen & (1u << i)))
			return -EINVAL;
	if (!strings_are_fit(&s->volume))
		return -EINVAL;
	defaults_follow(r);
	return r->is_stale ? -ESTALE : 0;
}

int ublk_state_read(const char *run_dir, int dev_id, struct ublk_state *out, struct error *err)
{
	struct ublk_state state = {.dev_id = -1};
	struct reader r = {.state = &state, .is_stale = true};
	char path[PATH_BYTES];
	FILE *file;
	int rc = boot_id_read(r.boot_id);

	if (rc < 0)
		return error_set(err, rc, "%s: %s", BOOT_ID_PATH, strerror(-rc));
	path_make(path, run_dir, dev_id, "");
	file = fopen(path, "re");
	if (!file)
		return error_set(err, -errno, "%s: %s", path, strerror(errno));
	rc = file_parse(file, &r);
	fclose(file);
	if (rc == 0)
		rc = reader_check(&r, dev_id);
	if (rc == -ESTALE)
		return error_set(err, rc, "%s is of an earlier boot: its device is gone", path);
	if (rc == -ERANGE)
		return error_set(err, -EINVAL,
			"%s: %s is %" PRIu64 ", not from %" PRIu64 " to %" PRIu64
			": the file is damaged; remove it, and delete its device by `sluice detach "
			"--force`",
			path, r.wrong->key, r.wrong_value, r.wrong->min, r.wrong->max);
	if (rc < 0)
		return error_set(err, rc,
			"%s is damaged or not a state file of sluiced: remove it, and delete its "
			"device by "
			"`sluice detach --force`",
			path);
	*out = state;
	return 0;
}

int ublk_state_remove(const char *run_dir, int dev_id)
{
	char path[PATH_BYTES];

	path_make(path, run_dir, dev_id, "");
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* ---- list ---- */

static int number_compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

int ublk_state_list(const char *run_dir, int *dev_ids, unsigned max)
{
	DIR *dir = opendir(run_dir);
	struct dirent *entry;
	unsigned count = 0;
	int id, used;

	if (!dir)
		return -errno;
	while (count < max && (entry = readdir(dir))) {
		used = 0;
		if (sscanf(entry->d_name, "ublk-%d.state%n", &id, &used) == 1 && used > 0 &&
			entry->d_name[used] == '\0' && id >= 0)
			dev_ids[count++] = id;
	}
	closedir(dir);
	qsort(dev_ids, count, sizeof(*dev_ids), number_compare);
	return (int)count;
}
