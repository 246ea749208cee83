/*
 * host_check.h - a growing list of checks, each good or with its remedy
 *
 * Private to the room.
 */
#ifndef CONFIG_HOST_HOST_CHECK_H
#define CONFIG_HOST_HOST_CHECK_H

#include "config/host/host.h"

struct check_list {
	struct host_check_line *line; /* the caller's */
	unsigned count, max;
};

__attribute__((format(printf, 3, 4))) void check_good(
	struct check_list *list, const char *what, const char *fmt, ...);
/* Also starts the line whose remedy check_remedy() then gives. */
__attribute__((format(printf, 5, 6))) void check_bad(
	struct check_list *list, const char *what, bool is_required, int rc, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void check_remedy(
	struct check_list *list, const char *fmt, ...);

/* What @port needs of the machine. */
void check_port(struct check_list *list, const struct config_port *port);

#endif
