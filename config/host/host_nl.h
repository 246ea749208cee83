/*
 * host_nl.h - libnl's own error numbers, as far as a caller can act on them
 *
 * Private to the room.
 */
#ifndef CONFIG_HOST_HOST_NL_H
#define CONFIG_HOST_HOST_NL_H

/* @nl_error as libnl gives it, below 0. Out: -errno. */
int host_nl_errno(int nl_error);

struct nl_sock;
struct rtnl_route;

/*
 * Calls @fn for each default route of @family in the main table, on connected @sock. The others are
 * looked at and forgotten as they come, so memory does not grow with their number. @fn borrows the
 * route. In host_route.c. 0 or -errno.
 */
int host_default_routes(struct nl_sock *sock, int family,
	void (*fn)(struct rtnl_route *route, void *arg), void *arg);

#endif
