/*
 * control_world.h - a control socket and its clients in one thread
 *
 * The test writes bytes, turns the server's control_poll() until it has nothing to do, and reads
 * what came back.
 */
#ifndef TESTS_UNIT_DATAPLANE_CONTROL_WORLD_H
#define TESTS_UNIT_DATAPLANE_CONTROL_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/admin/control.h"

#define TURN_MAX 64 /* more than any exchange here needs */

struct world {
	struct control *control;
	struct control_call *held; /* what method "slow" left open */
	unsigned call_count;
	char dir[32], path[64];
};

/* ---- methods ---- */

static inline int echo(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	((struct world *)ctx)->call_count++;
	*result = json_deep_copy(params);
	return 0;
}

static inline int refuse(void *ctx, const json_t *params, struct control_call *call,
	json_t **result, struct error *err)
{
	return error_set(err, -EBUSY, "no, and \"why\" is\nthis");
}

static inline int slow(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	((struct world *)ctx)->held = call;
	return -EINPROGRESS;
}

static inline int big(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	size_t bytes = (size_t)json_integer_value(json_object_get(params, "bytes"));
	char *text = malloc(bytes);

	assert_non_null(text);
	memset(text, 'x', bytes);
	*result = json_stringn(text, bytes);
	free(text);
	return 0;
}

static const struct control_param echo_params[] = {{"a", CONTROL_NUMBER, 0, 100}, {NULL, 0, 0, 0}},
	big_params[] = {{"bytes", CONTROL_NUMBER, 0, 1 << 30}, {NULL, 0, 0, 0}};
static const struct control_method methods[] = {{"echo", echo, echo_params},
	{"refuse", refuse, NULL}, {"slow", slow, NULL}, {"big", big, big_params}};

static inline int world_start(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct error err;

	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/sluice-ctl.XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
	w->control = control_create(w->path, methods, 4, w, &err);
	*state = w;
	return w->control ? 0 : -1;
}

static inline int world_end(void **state)
{
	struct world *w = *state;

	control_destroy(w->control);
	unlink(w->path);
	rmdir(w->dir);
	free(w);
	return 0;
}

/* ---- a client ---- */

static inline int client_open(struct world *w)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(sa.sun_path, w->path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	control_poll(w->control, 0);
	return fd;
}

static inline void say_bytes(struct world *w, int fd, const char *bytes, size_t len)
{
	for (unsigned i = 0; len > 0; i++) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		assert_true(i < 4096);
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		bytes += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		control_poll(w->control, 0);
	}
}

static inline void say(struct world *w, int fd, const char *text)
{
	say_bytes(w, fd, text, strlen(text));
}

/*
 * What the server sends, up to the newline or the end. The server is turned meanwhile. Out: bytes,
 * 0 = the server has closed, -1 = it is silent.
 */
static inline ssize_t hear_bytes(struct world *w, int fd, char *out, size_t room)
{
	size_t have = 0;

	for (unsigned i = 0, idle = 0; idle < TURN_MAX && i < 100000; i++) {
		ssize_t n = have < room ? recv(fd, out + have, room - have, MSG_PEEK) : 0;
		const char *end = n > 0 ? memchr(out + have, '\n', (size_t)n) : NULL;

		if (n == 0)
			return (ssize_t)have;
		if (n > 0) {
			n = recv(fd, out + have, end ? (size_t)(end + 1 - out) - have : (size_t)n,
				0);
			assert_true(n > 0);
			have += (size_t)n;
			idle = 0;
		}
		if (end)
			return (ssize_t)have;
		idle++;
		control_poll(w->control, 0);
	}
	return -1;
}

static inline bool is_closed(struct world *w, int fd)
{
	char byte[64];

	return hear_bytes(w, fd, byte, sizeof(byte)) == 0;
}

/* The next answer must be this JSON. */
static inline void hears(struct world *w, int fd, const char *want)
{
	char text[4096];
	ssize_t n = hear_bytes(w, fd, text, sizeof(text) - 1);
	json_t *got, *wanted = json_loads(want, 0, NULL);

	assert_non_null(wanted);
	assert_true(n > 0);
	text[n] = '\0';
	got = json_loads(text, 0, NULL);
	if (!got || !json_equal(got, wanted))
		fail_msg("wanted %s, heard %s", want, text);
	json_decref(got);
	json_decref(wanted);
}

/* The next answer must be an error of this code, and one line. */
static inline void hears_error(struct world *w, int fd, int code, const char *part)
{
	char text[4096];
	ssize_t n = hear_bytes(w, fd, text, sizeof(text) - 1);
	json_t *got, *error;
	const char *message;

	assert_true(n > 0);
	text[n] = '\0';
	got = json_loads(text, 0, NULL);
	error = json_object_get(got, "error");
	message = json_string_value(json_object_get(error, "message"));
	if (!message || !strstr(message, part) ||
		json_integer_value(json_object_get(error, "code")) != code)
		fail_msg("wanted %d \"%s\", heard %s", code, part, text);
	json_decref(got);
}

#define ECHO_1	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":5}}\n"
#define ECHO_1_SAID "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":5}}"

#endif
