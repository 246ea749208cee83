/*
 * rpc.c - one question to sluiced over its control socket, one answer
 *
 * A line of JSON out, a line of JSON back, then the connection ends: a command line asks one thing.
 * There is a deadline for the whole exchange, since a person (or a script) waits, and a bound on
 * the answer. What the daemon refuses comes back as its own sentence, unchanged.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "cli/rpc.h"
#include "config/error_code.h"
#include "config/monotonic.h"

#define ANSWER_BYTES_MAX  (8u << 20)
#define ANSWER_BYTES_STEP (64u << 10)

/* An answer that is still growing. */
struct answer {
	char *text;
	size_t bytes, room;
};

static int daemon_connect(const char *path, struct error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd, rc;

	if (!*path)
		return error_set(err, -EINVAL,
			"--socket is empty; give the path of sluiced's control socket");
	if (strlen(path) >= sizeof(sa.sun_path))
		return error_set(err, -ENAMETOOLONG,
			"the socket's path is longer than %zu bytes: %s", sizeof(sa.sun_path) - 1,
			path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "no socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	if (rc == -EACCES || rc == -EPERM)
		return error_set(err, -EACCES, "permission denied on %s; run it as root", path);
	return error_set(err, -ENOTCONN,
		"no sluiced answers at %s (%s); start it, or name its socket with --socket PATH",
		path, strerror(-rc));
}

/* Waits until @fd is ready for @events. 0 or -ETIMEDOUT. */
static int fd_wait(int fd, short events, int64_t deadline_ms, struct error *err)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left;
	int rc;

	/* A signal may end a wait early any number of times; the deadline ends them all. */
	do {
		left = deadline_ms - (int64_t)monotonic_ms();
		rc = left > 0 ? poll(&p, 1, (int)left) : 0;
	} while (rc < 0 && errno == EINTR);
	if (rc > 0)
		return 0;
	return error_set(err, -ETIMEDOUT,
		"sluiced did not answer in time; `sluice status` shows %s",
		"if it is alive, and its log the command it waits for");
}

static int line_send(int fd, const char *line, size_t bytes, int64_t deadline_ms, struct error *err)
{
	size_t sent = 0;

	while (sent < bytes) {
		int rc = fd_wait(fd, POLLOUT, deadline_ms, err);
		ssize_t n;

		if (rc)
			return rc;
		n = send(fd, line + sent, bytes - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		/* The daemon may have refused us in words before it closed: read those first. */
		if (n < 0 && errno == EPIPE)
			return 0;
		if (n < 0 && errno != EAGAIN)
			return error_set(err, -errno, "cannot ask sluiced: %s", strerror(errno));
		sent += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Makes room for more. 0 or -errno. */
static int answer_grow(struct answer *a, struct error *err)
{
	char *grown;

	if (a->room - a->bytes > 1)
		return 0;
	if (a->room >= ANSWER_BYTES_MAX)
		return error_set(
			err, -EMSGSIZE, "the answer is longer than %u MiB", ANSWER_BYTES_MAX >> 20);
	grown = realloc(a->text, a->room + ANSWER_BYTES_STEP);
	if (!grown)
		return error_set(err, -ENOMEM, "no memory for the answer");
	a->text = grown;
	a->room += ANSWER_BYTES_STEP;
	return 0;
}

/* Reads up to the newline, which becomes the answer's NUL. */
static int line_read(int fd, struct answer *a, int64_t deadline_ms, struct error *err)
{
	char *end = NULL;

	while (!end) {
		int rc = answer_grow(a, err);
		ssize_t n;

		if (rc == 0)
			rc = fd_wait(fd, POLLIN, deadline_ms, err);
		if (rc)
			return rc;
		n = recv(fd, a->text + a->bytes, a->room - a->bytes - 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return error_set(err, -EPIPE,
				"sluiced hung up without an answer; it may be stopping, or have "
				"too many clients: try again");
		end = memchr(a->text + a->bytes, '\n', (size_t)n);
		a->bytes += (size_t)n;
	}
	*end = '\0';
	return 0;
}

/* The result, or the daemon's refusal. Eats nothing. */
static int answer_parse(const char *text, json_t **result, struct error *err)
{
	json_error_t why;
	json_t *answer = json_loads(text, 0, &why), *found = json_object_get(answer, "result");
	const json_t *refusal = json_object_get(answer, "error");
	const char *said = json_string_value(json_object_get(refusal, "message"));
	json_int_t code = json_integer_value(json_object_get(refusal, "code"));
	int rc = 0;

	if (said)
		rc = error_set(err, error_code_numbered((int)code)->rc, "%s", said);
	else if (!found)
		rc = error_set(err, -EPROTO,
			"the process that answers at the socket is not "
			"sluiced");
	else
		*result = json_incref(found);
	json_decref(answer);
	return rc;
}

/* The request as a line; the caller frees it. Eats @params. */
static char *request_line(const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s s:i s:s s:o}", "jsonrpc", "2.0", "id", 1, "method",
		method, "params", params ? params : json_object());
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL, *line = NULL;
	size_t len = text ? strlen(text) : 0;

	json_decref(request);
	if (text)
		line = realloc(text, len + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	line[len] = '\n';
	line[len + 1] = '\0';
	return line;
}

int rpc_call(const char *socket, const char *method, json_t *params, int timeout_ms,
	json_t **result, struct error *err)
{
	int64_t deadline_ms = (int64_t)monotonic_ms() + timeout_ms;
	char *line = request_line(method, params);
	struct answer answer = {0};
	int fd, rc;

	assert(timeout_ms > 0);
	if (!line)
		return error_set(err, -ENOMEM, "no memory for the request");
	fd = daemon_connect(socket, err);
	rc = fd;
	if (fd < 0)
		goto out_line;
	rc = line_send(fd, line, strlen(line), deadline_ms, err);
	if (rc == 0)
		rc = line_read(fd, &answer, deadline_ms, err);
	if (rc == 0)
		rc = answer_parse(answer.text, result, err);
	free(answer.text);
	close(fd);
out_line:
	free(line);
	return rc;
}
