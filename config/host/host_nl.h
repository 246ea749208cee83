/*
 * host_nl.h - libnl's own error numbers, as far as a caller can act on them
 *
 * Private to the room.
 */
#ifndef CONFIG_HOST_HOST_NL_H
#define CONFIG_HOST_HOST_NL_H

/* @nl_error as libnl gives it, below 0. Out: -errno. */
int host_nl_errno(int nl_error);

#endif
