/*
 * control.c - the control socket: JSON-RPC 2.0, a request a line, on a Unix socket
 *
 * One poll() over the listener, the clients and whatever else the daemon watches. A client sends a
 * line, gets a line; while a long call of a client runs, its next line waits in its buffer, so
 * answers keep the order of requests. Bounds: CONTROL_CLIENT_MAX clients, CONTROL_LINE_BYTES_MAX
 * bytes in, CONTROL_OUT_BYTES_MAX unsent bytes out, IDLE_MS_MAX from one whole line or answer to
 * the next: single bytes buy no time, so a client that dribbles them ends like a silent one. The
 * parser is jansson's; what is ours is that a hostile client costs a slot for a while, and no
 * more.
 *
 * Control thread only; this is the one part of the daemon that allocates as it goes.
 */
#include "daemon/admin/control.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "config/error_code.h"
#include "config/monotonic.h"

#define IDLE_MS_MAX    60000
#define WATCH_MAX      4
#define RPC_PARSE      (-32700)
#define RPC_REQUEST    (-32600)
#define RPC_NO_METHOD  (-32601)
#define RPC_PARAMS     (-32602)

struct client {
	int fd; /* -1 = free slot */
	char *in;
	size_t in_bytes;
	char *out;
	size_t out_bytes, out_sent;
	struct control_call *call; /* under way */
	bool is_ended;		   /* it will say no more, and waits for what is owed to it */
	uint64_t heard_ms;	   /* when it came, or was last answered */
};

struct control_call {
	struct client *client; /* NULL once the client has gone */
	json_t *id; /* NULL: a notification, which is never answered (JSON-RPC 2.0, section 4.1) */
};

struct control {
	int listen_fd;
	char path[108];
	const struct control_method *methods;
	unsigned method_count;
	void *ctx;
	unsigned idle_ms_max;
	int watch[WATCH_MAX];
	unsigned watch_count;
	struct client clients[CONTROL_CLIENT_MAX];
};

static void client_close(struct client *cl)
{
	if (cl->fd < 0)
		return;
	close(cl->fd);
	if (cl->call)
		cl->call->client = NULL;
	free(cl->in);
	free(cl->out);
	*cl = (struct client){.fd = -1};
}

/* ---- answers ---- */

static void client_flush(struct client *cl)
{
	ssize_t n;

	while (cl->fd >= 0 && cl->out_sent < cl->out_bytes) {
		n = send(cl->fd, cl->out + cl->out_sent, cl->out_bytes - cl->out_sent,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0) {
			if (n < 0 && (errno == EAGAIN || errno == EINTR))
				return;
			client_close(cl);
			return;
		}
		cl->out_sent += (size_t)n;
	}
	cl->out_bytes = cl->out_sent = 0;
}

/* Appends @answer as a line. Eats it. */
static void client_answer(struct client *cl, json_t *answer)
{
	char *line = answer ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL,
	     *grown;
	size_t len = line ? strlen(line) : 0;

	json_decref(answer);
	if (!line || cl->out_bytes + len + 1 > CONTROL_OUT_BYTES_MAX ||
		!(grown = realloc(cl->out, cl->out_bytes + len + 1))) {
		free(line);
		client_close(cl);
		return;
	}
	cl->out = grown;
	memcpy(cl->out + cl->out_bytes, line, len);
	cl->out[cl->out_bytes + len] = '\n';
	cl->out_bytes += len + 1;
	free(line);
	cl->heard_ms = monotonic_ms();
	client_flush(cl);
}

/* The request cannot be run. @id is borrowed; NULL, where it is not known, becomes null. */
static void client_refuse(
	struct client *cl, json_t *id, int code, const char *name, const char *text)
{
	client_answer(cl,
		json_pack("{s:s s:O? s:{s:i s:s s:{s:s}}}", "jsonrpc", "2.0", "id", id, "error",
			"code", code, "message", text[0] ? text : "failed", "data", "name", name));
}

void control_reply(struct control_call *call, int rc, json_t *result, const struct error *err)
{
	const struct error_code *code = error_code_of(rc);
	struct client *cl = call->client;

	if (cl) {
		assert(cl->call == call);
		cl->call = NULL;
		cl->heard_ms = monotonic_ms();
	}
	if (cl && call->id && rc)
		client_refuse(cl, call->id, code->code, code->name, err ? err->text : "");
	else if (cl && call->id)
		client_answer(cl, json_pack("{s:s s:O s:o}", "jsonrpc", "2.0", "id", call->id,
					  "result", result ? json_incref(result) : json_object()));
	json_decref(result);
	json_decref(call->id);
	free(call);
}

/* ---- requests ---- */

static const struct control_method *method_lookup(const struct control *c, const char *name)
{
	unsigned i;

	for (i = 0; i < c->method_count; i++)
		if (strcmp(c->methods[i].name, name) == 0)
			return &c->methods[i];
	return NULL;
}

static void method_run(
	struct control *c, struct client *cl, const struct control_method *m, json_t *request)
{
	json_t *params = json_object_get(request, "params"), *empty = json_object(), *result = NULL;
	struct control_call *call = calloc(1, sizeof(*call));
	struct error err = {""};
	int rc;

	if (!call || !empty) {
		free(call);
		json_decref(empty);
		client_close(cl);
		return;
	}
	call->client = cl;
	call->id = json_incref(json_object_get(request, "id"));
	cl->call = call;
	rc = m->call(c->ctx, json_is_object(params) ? params : empty, call, &result, &err);
	json_decref(empty);
	if (rc != -EINPROGRESS)
		control_reply(call, rc, result, &err);
}

static void line_run(struct control *c, struct client *cl, const char *line, size_t len)
{
	struct error err = {""};
	json_error_t why;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	const char *name = json_string_value(json_object_get(request, "method"));
	const struct control_method *m = name ? method_lookup(c, name) : NULL;
	json_t *id = json_object_get(request, "id");
	char text[192];

	if (!request) {
		snprintf(text, sizeof(text), "not JSON: %s", why.text);
		client_refuse(cl, NULL, RPC_PARSE, "not-json", text);
	} else if (!name) {
		client_refuse(cl, id, RPC_REQUEST, "no-request",
			"a request is an object with \"method\"");
	} else if (!m && id) {
		snprintf(text, sizeof(text), "there is no method \"%.100s\"", name);
		client_refuse(cl, id, RPC_NO_METHOD, "no-method", text);
	} else if (m && control_params_check(
				m->name, m->params, json_object_get(request, "params"), &err)) {
		if (id)
			client_refuse(cl, id, RPC_PARAMS, "invalid", err.text);
	} else if (m) {
		method_run(c, cl, m, request);
	}
	json_decref(request);
}

/* Runs whole lines that lie in the buffer; stops while a call is running. */
static void lines_run(struct control *c, struct client *cl)
{
	char *end;
	size_t len;

	while (cl->fd >= 0 && !cl->call && (end = memchr(cl->in, '\n', cl->in_bytes))) {
		len = (size_t)(end - cl->in);
		if (len > 0)
			line_run(c, cl, cl->in, len);
		if (cl->fd < 0)
			return;
		cl->in_bytes -= len + 1;
		memmove(cl->in, end + 1, cl->in_bytes);
	}
	if (cl->fd >= 0 && cl->in_bytes == CONTROL_LINE_BYTES_MAX && !cl->call) {
		client_refuse(cl, NULL, RPC_REQUEST, "no-request", "the line is too long");
		client_close(cl);
	}
}

static void client_read(struct client *cl)
{
	ssize_t n;

	if (cl->in_bytes == CONTROL_LINE_BYTES_MAX)
		return; /* full of lines behind a running call */
	n = recv(
		cl->fd, cl->in + cl->in_bytes, CONTROL_LINE_BYTES_MAX - cl->in_bytes, MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		client_close(cl);
	else if (n == 0)
		cl->is_ended = true; /* `echo … | nc -N`: it still reads the answer */
	else if (n > 0)
		cl->in_bytes += (size_t)n;
}

/* It said all it will say: closed once nothing is owed to it. */
static void client_end(struct client *cl)
{
	if (cl->fd >= 0 && cl->is_ended && !cl->call && cl->out_sent == cl->out_bytes)
		client_close(cl);
}

/* ---- clients ---- */

static void client_accept(struct control *c)
{
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	unsigned i;

	if (fd < 0)
		return;
	for (i = 0; i < CONTROL_CLIENT_MAX; i++) {
		struct client *cl = &c->clients[i];

		if (cl->fd >= 0)
			continue;
		cl->in = malloc(CONTROL_LINE_BYTES_MAX);
		if (!cl->in)
			break;
		cl->fd = fd;
		cl->heard_ms = monotonic_ms();
		return;
	}
	close(fd); /* full: the seventeenth sees its connection end */
}

static void idle_close(struct control *c)
{
	uint64_t now = monotonic_ms();
	unsigned i;

	for (i = 0; i < CONTROL_CLIENT_MAX; i++)
		if (c->clients[i].fd >= 0 && !c->clients[i].call &&
			now - c->clients[i].heard_ms > c->idle_ms_max)
			client_close(&c->clients[i]);
}

void control_poll(struct control *c, int timeout_ms)
{
	struct pollfd fds[1 + CONTROL_CLIENT_MAX + WATCH_MAX];
	unsigned i, n = 0;

	fds[n++] = (struct pollfd){.fd = c->listen_fd, .events = POLLIN};
	for (i = 0; i < CONTROL_CLIENT_MAX; i++) {
		struct client *cl = &c->clients[i];
		bool full = cl->is_ended || cl->in_bytes == CONTROL_LINE_BYTES_MAX;

		fds[n++] = (struct pollfd){.fd = cl->fd,
			.events = (short)((full ? 0 : POLLIN) |
					  (cl->out_sent < cl->out_bytes ? POLLOUT : 0))};
	}
	for (i = 0; i < c->watch_count; i++)
		fds[n++] = (struct pollfd){.fd = c->watch[i], .events = POLLIN};
	poll(fds, n, timeout_ms);
	for (i = 0; i < CONTROL_CLIENT_MAX; i++) {
		struct client *cl = &c->clients[i];
		short got = fds[1 + i].revents;

		if (cl->fd < 0)
			continue;
		if (got & POLLOUT)
			client_flush(cl);
		if (cl->fd >= 0 && (got & POLLIN))
			client_read(cl);
		else if (cl->fd >= 0 && (got & (POLLHUP | POLLERR)))
			client_close(cl);
		if (cl->fd >= 0)
			lines_run(c, cl);
		client_end(cl);
	}
	if (fds[0].revents & POLLIN)
		client_accept(c);
	idle_close(c);
}

void control_idle_set(struct control *c, unsigned ms)
{
	c->idle_ms_max = ms;
}

int control_watch(struct control *c, int fd)
{
	if (c->watch_count == WATCH_MAX)
		return -ENOSPC;
	c->watch[c->watch_count++] = fd;
	return 0;
}

/* ---- life ---- */

/* Only a socket can be a dead daemon's; another file of that name is not removed. */
static int stale_remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return 0;
	return S_ISSOCK(st.st_mode) ? unlink(path) : -1;
}

static int socket_listen(const char *path, struct error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		return error_set(err, -ENAMETOOLONG, "socket: %s is longer than %zu bytes", path,
			sizeof(sa.sun_path) - 1);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "socket: %s", strerror(errno));
	if (stale_remove(path)) {
		close(fd);
		return error_set(err, -EEXIST,
			"%s is there and is no socket; remove it, or set socket:", path);
	}
	if (fchmod(fd, 0600) || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || chmod(path, 0600) ||
		listen(fd, CONTROL_CLIENT_MAX)) {
		int rc = error_set(err, -errno,
			"cannot listen at %s: %s; make its directory, or set socket: elsewhere",
			path, strerror(errno));

		close(fd);
		return rc;
	}
	return fd;
}

struct control *control_create(const char *path, const struct control_method *methods,
	unsigned count, void *ctx, struct error *err)
{
	struct control *c = calloc(1, sizeof(*c));
	unsigned i;

	if (!c) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	c->listen_fd = socket_listen(path, err);
	if (c->listen_fd < 0) {
		free(c);
		return NULL;
	}
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->methods = methods;
	c->method_count = count;
	c->ctx = ctx;
	c->idle_ms_max = IDLE_MS_MAX;
	for (i = 0; i < CONTROL_CLIENT_MAX; i++)
		c->clients[i].fd = -1;
	return c;
}

void control_destroy(struct control *c)
{
	unsigned i;

	if (!c)
		return;
	for (i = 0; i < CONTROL_CLIENT_MAX; i++)
		client_close(&c->clients[i]);
	close(c->listen_fd);
	unlink(c->path);
	free(c);
}
