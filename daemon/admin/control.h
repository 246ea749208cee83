/*
 * control.h - the control socket: JSON-RPC 2.0, a request a line, on a Unix socket
 *
 * Served by the control thread out of control_poll(). Nothing a client does makes it wait: lines,
 * clients, unsent bytes and time are all bounded, and a client past a bound is closed.
 */
#ifndef DAEMON_ADMIN_CONTROL_H
#define DAEMON_ADMIN_CONTROL_H

#include <jansson.h>
#include "config/error.h"
#include "daemon/admin/control_param.h"

#define CONTROL_CLIENT_MAX 16
#define CONTROL_LINE_BYTES_MAX 65536
#define CONTROL_OUT_BYTES_MAX (4u << 20)

struct control;
struct control_call; /* a request being answered */

struct control_method {
	const char *name;
	/*
	 * Answers @params (borrowed, never NULL). Out: 0 with *result a new reference;
	 * -EINPROGRESS: control_reply(@call) comes later, exactly once; other -errno with one line
	 * in @err.
	 */
	int (*call)(void *ctx, const json_t *params, struct control_call *call, json_t **result,
		struct error *err);
	/* What it takes, ended by a name of NULL; NULL: nothing. The rest is refused before the
	 * call. */
	const struct control_param *params;
};

/*
 * Listens at @path (mode 0600; a stale socket there is replaced, so the caller holds the daemon's
 * lock). @methods and @ctx must outlive the control. NULL with @err.
 */
struct control *control_create(const char *path, const struct control_method *methods,
	unsigned count, void *ctx, struct error *err);
void control_destroy(struct control *c); /* removes the socket; NULL is fine */

/* A client that has neither come nor been answered for @ms is closed; 60 s if never set. */
void control_idle_set(struct control *c, unsigned ms);

/* Ends a poll early when @fd is readable; the caller reads it. 0 or -ENOSPC. */
int control_watch(struct control *c, int fd);

/* Waits at most @timeout_ms for something to do, and does it. */
void control_poll(struct control *c, int timeout_ms);

/*
 * Answers a call that returned -EINPROGRESS; frees it. Eats @result. A client that has
 * disconnected is not an error.
 */
void control_reply(struct control_call *call, int rc, json_t *result, const struct error *err);

#endif
