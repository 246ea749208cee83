/*
 * test_ublk_state.c - what was written is read back whole; what is damaged is refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_state.h"

#define FILE_BYTES 32768

static char dir[64];

static int dir_make(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/sluice-state-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int dir_remove(void **state)
{
	char path[128];

	for (int id = 0; id < 12; id++)
		ublk_state_remove(dir, id);
	snprintf(path, sizeof(path), "%s/ublk-x.state", dir);
	unlink(path);
	return rmdir(dir);
}

static struct ublk_state example(int id)
{
	struct ublk_state s = {
		.dev_id = id,
		.queues = 3,
		.queue_depth = 48,
		.io_bytes_max = 256 << 10,
		.user_copy = true,
		.limits = {.size_bytes = 5ULL << 40,
			.block_min = 512,
			.block_pref = 4096,
			.can_flush = true,
			.can_trim = true,
			.trim_bytes_max = UINT32_MAX},
		.volume = {.name = "my disk",
			.uri_count = 2,
			.connections = 4,
			.on_dead = ON_DEAD_FAIL,
			.dead_ms = 30000,
			.copy = COPY_USER,
			.read_only = true},
	};

	strcpy(s.volume.uris[0], "nbd://10.0.0.2:10809/a%20b");
	strcpy(s.volume.uris[1], "nbd://[fd00::2]/");
	return s;
}

/* The file's text, to be damaged and put back. */
static size_t text_get(int id, char *text)
{
	char path[128];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/ublk-%d.state", dir, id);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	len = read(fd, text, FILE_BYTES - 1);
	close(fd);
	assert_true(len > 0);
	text[len] = '\0';
	return (size_t)len;
}

static void text_put(int id, const char *text, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/ublk-%d.state", dir, id);
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void reads_back_what_was_written(void **state)
{
	struct ublk_state in = example(3), out;
	struct error err = {""};

	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	assert_int_equal(ublk_state_read(dir, 3, &out, &err), 0);
	assert_int_equal(out.dev_id, 3);
	assert_int_equal(out.queues, 3);
	assert_int_equal(out.queue_depth, 48);
	assert_int_equal(out.io_bytes_max, 256 << 10);
	assert_true(out.user_copy);
	assert_true(out.limits.size_bytes == 5ULL << 40);
	assert_int_equal(out.limits.trim_bytes_max, UINT32_MAX);
	assert_true(out.limits.can_flush && out.limits.can_trim && !out.limits.can_fua);
	assert_string_equal(out.volume.name, "my disk");
	assert_int_equal(out.volume.uri_count, 2);
	assert_string_equal(out.volume.uris[0], in.volume.uris[0]);
	assert_string_equal(out.volume.uris[1], in.volume.uris[1]);
	assert_int_equal(out.volume.on_dead, ON_DEAD_FAIL);
	assert_int_equal(out.volume.copy, COPY_USER);
	assert_true(out.volume.read_only);
}

static void file_is_for_root_alone_and_replaced_whole(void **state)
{
	struct ublk_state in = example(3), out;
	struct error err = {""};
	char path[128];
	struct stat st;

	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	snprintf(path, sizeof(path), "%s/ublk-3.state", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	in.queue_depth = 7;
	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	assert_int_equal(ublk_state_read(dir, 3, &out, &err), 0);
	assert_int_equal(out.queue_depth, 7);
	snprintf(path, sizeof(path), "%s/ublk-3.state.new", dir);
	assert_int_equal(access(path, F_OK), -1);
}

static void every_cut_of_the_file_is_refused(void **state)
{
	struct ublk_state in = example(4), out;
	struct error err = {""};
	char text[FILE_BYTES];
	size_t len;

	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	len = text_get(4, text);
	for (size_t cut = 0; cut < len; cut++) {
		text_put(4, text, cut);
		assert_int_equal(ublk_state_read(dir, 4, &out, &err), -EINVAL);
	}
	text_put(4, text, len);
	assert_int_equal(ublk_state_read(dir, 4, &out, &err), 0);
}

/* Replaces @from by @to in the file and expects @rc of a reader. */
static void damaged(const char *from, const char *to, int rc)
{
	struct ublk_state in = example(5), out;
	struct error err = {""};
	char text[FILE_BYTES], changed[2 * FILE_BYTES];
	char *at;

	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	text_get(5, text);
	at = strstr(text, from);
	assert_non_null(at);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, to,
		at + strlen(from));
	text_put(5, changed, strlen(changed));
	assert_int_equal(ublk_state_read(dir, 5, &out, &err), rc);
}

static void damage_is_refused_and_news_are_skipped(void **state)
{
	damaged("state 1", "state 2", -EINVAL);
	damaged("queue_depth 48", "queue_depth 4x8", -EINVAL);
	damaged("queue_depth 48", "queue_depth -1", -EINVAL);
	damaged("queue_depth 48", "queue_depth 65536", -EINVAL);
	damaged("queues 3", "queues 9", -EINVAL);
	damaged("queue_depth 48", "queue_depth 0", -EINVAL);
	damaged("queue_depth 48\n", "", -EINVAL);
	damaged("user_copy 1", "user_copy 2", -EINVAL);
	damaged("device 5", "device 6", -EINVAL);
	damaged("volume.copy 2", "volume.copy 3", -EINVAL);
	damaged("volume.name my disk", "volume.name", -EINVAL);
	damaged("boot ", "boot 0", -ESTALE);
	damaged("user_copy 1\n", "user_copy 1\nnew_key of a later version\n", 0);
}

/* Whatever the daemon makes an array index, a size or a time of: two beyond its bounds, and the
 * file is named. */
static void every_number_has_bounds(void **state)
{
	static const char *const lines[] = {"device", "queues", "queue_depth", "io_bytes_max",
		"user_copy", "size_bytes", "block_min", "block_pref", "limit_io_bytes",
		"limit_trim_bytes", "trim_granularity", "read_only", "rotational", "flush", "fua",
		"trim", "write_zeroes", "fast_zero", "multi_conn", "volume.connections",
		"volume.queue_depth", "volume.io_bytes_max", "volume.on_dead", "volume.unstable",
		"volume.dead_ms", "volume.request_ms", "volume.dead_peer_ms", "volume.connect_ms",
		"volume.copy", "volume.read_only"};
	struct ublk_state in = example(7), out;
	struct error err = {""};
	char text[FILE_BYTES], changed[2 * FILE_BYTES], key[64], path[160];
	unsigned found = 0;

	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	text_get(7, text);
	for (const char *at = text; *at; at = strchr(at, '\n') + 1)
		found += strncmp(at, "boot ", 5) &&
			 strchr("0123456789", at[strcspn(at, " \n") + 1]) != NULL &&
			 strncmp(at, "sluice", 6) && strncmp(at, "end", 3) &&
			 strncmp(at, "volume.cc", 9);
	assert_int_equal(found, sizeof(lines) / sizeof(*lines)); /* none is left out here */
	snprintf(path, sizeof(path), "%s/ublk-7.state: ", dir);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		char *at;

		snprintf(key, sizeof(key), "\n%s ", lines[i]);
		at = strstr(text, key);
		assert_non_null(at);
		at += strlen(key);
		snprintf(changed, sizeof(changed), "%.*s18446744073709551615%s", (int)(at - text),
			text, at + strcspn(at, "\n"));
		text_put(7, changed, strlen(changed));
		err.text[0] = '\0';
		assert_int_equal(ublk_state_read(dir, 7, &out, &err), -EINVAL);
		assert_non_null(strstr(err.text, path));
		assert_non_null(strstr(err.text, lines[i]));
	}
}

static void connections_beyond_the_array_are_refused(void **state)
{
	damaged("volume.connections 4", "volume.connections 60000", -EINVAL);
	damaged("volume.connections 4", "volume.connections 9", -EINVAL);
	damaged("volume.connections 4", "volume.connections 8", 0);
	damaged("io_bytes_max 262144", "io_bytes_max 0", -EINVAL);
	damaged("block_min 512", "block_min 513", -EINVAL);
	damaged("size_bytes 5497558138880", "size_bytes 5497558138881", -EINVAL);
	damaged("volume.dead_ms 30000", "volume.dead_ms 4000000000", -EINVAL);
}

/* Nobody had given it: it was the default, which is none now. */
static void old_default_of_request_timeout_is_not_kept(void **state)
{
	struct ublk_state in = example(8), out;
	struct error err = {""};

	in.volume.request_ms = 15000;
	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	assert_int_equal(ublk_state_read(dir, 8, &out, &err), 0);
	assert_int_equal(out.volume.request_ms, 0);
	in.volume.dead_peer_ms = 15000;
	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	assert_int_equal(ublk_state_read(dir, 8, &out, &err), 0);
	assert_int_equal(out.volume.request_ms, 15000);
	ublk_state_remove(dir, 8);
}

static void lines_cannot_be_smuggled_in(void **state)
{
	struct ublk_state in = example(6), out;
	struct error err = {""};

	strcpy(in.volume.name, "a\ndevice 0");
	assert_int_equal(ublk_state_write(dir, &in, &err), -EINVAL);
	assert_int_equal(ublk_state_read(dir, 6, &out, &err), -ENOENT);
}

static void list_is_sorted_and_knows_its_own(void **state)
{
	struct ublk_state in = example(10);
	struct error err = {""};
	char path[128];
	int ids[4], fd;

	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	in = example(9);
	assert_int_equal(ublk_state_write(dir, &in, &err), 0);
	snprintf(path, sizeof(path), "%s/ublk-x.state", dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	for (int id = 0; id < 9; id++)
		ublk_state_remove(dir, id);
	assert_int_equal(ublk_state_list(dir, ids, 4), 2);
	assert_int_equal(ids[0], 9);
	assert_int_equal(ids[1], 10);
	assert_int_equal(ublk_state_remove(dir, 9), 0);
	assert_int_equal(ublk_state_remove(dir, 9), 0);
	assert_int_equal(ublk_state_list(dir, ids, 4), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back_what_was_written),
		cmocka_unit_test(file_is_for_root_alone_and_replaced_whole),
		cmocka_unit_test(every_cut_of_the_file_is_refused),
		cmocka_unit_test(damage_is_refused_and_news_are_skipped),
		cmocka_unit_test(every_number_has_bounds),
		cmocka_unit_test(connections_beyond_the_array_are_refused),
		cmocka_unit_test(old_default_of_request_timeout_is_not_kept),
		cmocka_unit_test(lines_cannot_be_smuggled_in),
		cmocka_unit_test(list_is_sorted_and_knows_its_own),
	};

	return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
