/*
 * control_param.h - the parameters a method of the control socket takes
 */
#ifndef DAEMON_ADMIN_CONTROL_PARAM_H
#define DAEMON_ADMIN_CONTROL_PARAM_H

#include <jansson.h>
#include "config/error.h"

enum control_type {
	CONTROL_TEXT,
	CONTROL_NUMBER,
	CONTROL_FLAG,
	CONTROL_TEXTS /* a list of strings */
};

struct control_param {
	const char *name; /* NULL ends a list */
	enum control_type type;
	json_int_t min, max; /* inclusive: a CONTROL_NUMBER, or how many CONTROL_TEXTS */
};

/*
 * Checks @params of a request for @method against @list (NULL: it takes none). Borrows everything;
 * no parameters at all, and null values, pass. Control thread. 0, or -EINVAL with one sentence in
 * @err that names the method and the parameter.
 */
int control_params_check(const char *method, const struct control_param *list, const json_t *params,
	struct error *err);

#endif
