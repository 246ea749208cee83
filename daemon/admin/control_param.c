/*
 * control_param.c - the parameters of a request, checked before its method runs
 *
 * Each method lists the parameters it takes with their types and bounds. What is not in the list,
 * has another type or lies outside the bounds is refused with -32602 of JSON-RPC 2.0, so a method
 * never sees a number that does not fit the field it goes to, and a misspelt parameter is an error
 * and not a default. A parameter that is null counts as not given.
 *
 * No state; control thread.
 */
#include "daemon/admin/control_param.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct control_param *param_lookup(const struct control_param *list, const char *name)
{
	for (; list && list->name; list++)
		if (strcmp(list->name, name) == 0)
			return list;
	return NULL;
}

/* "uri, name, queue_depth"; what does not fit @out is left out. */
static void names_list(const struct control_param *list, char *out, size_t bytes)
{
	size_t at = 0;

	out[0] = '\0';
	for (; list && list->name && at < bytes; list++)
		at += (size_t)snprintf(out + at, bytes - at, "%s%s", at ? ", " : "", list->name);
}

static int unknown(const char *method, const struct control_param *list, const char *name,
	struct error *err)
{
	char names[256];

	names_list(list, names, sizeof(names));
	if (!names[0])
		return error_set(err, -EINVAL, "%s takes no parameters, and was given \"%.60s\"",
			method, name);
	return error_set(
		err, -EINVAL, "%s has no parameter \"%.60s\"; it takes %s", method, name, names);
}

static int texts_check(const char *method, const struct control_param *p, const json_t *value,
	struct error *err)
{
	size_t count = json_array_size(value), i;
	bool is_good = (json_int_t)count >= p->min && (json_int_t)count <= p->max;

	for (i = 0; is_good && i < count; i++)
		is_good = json_is_string(json_array_get(value, i));
	return is_good ? 0
		       : error_set(err, -EINVAL,
				 "%s: %s must be a list of %" JSON_INTEGER_FORMAT
				 " to %" JSON_INTEGER_FORMAT " strings",
				 method, p->name, p->min, p->max);
}

static int value_check(const char *method, const struct control_param *p, const json_t *value,
	struct error *err)
{
	switch (p->type) {
	case CONTROL_TEXT:
		if (!json_is_string(value))
			return error_set(err, -EINVAL, "%s: %s must be a string", method, p->name);
		return 0;
	case CONTROL_TEXTS:
		return texts_check(method, p, value, err);
	case CONTROL_FLAG:
		if (!json_is_boolean(value))
			return error_set(
				err, -EINVAL, "%s: %s must be true or false", method, p->name);
		return 0;
	case CONTROL_NUMBER:
		if (!json_is_integer(value) || json_integer_value(value) < p->min ||
			json_integer_value(value) > p->max)
			return error_set(err, -EINVAL,
				"%s: %s must be a whole number from %" JSON_INTEGER_FORMAT
				" to %" JSON_INTEGER_FORMAT,
				method, p->name, p->min, p->max);
		return 0;
	}
	return -EINVAL;
}

int control_params_check(const char *method, const struct control_param *list, const json_t *params,
	struct error *err)
{
	const char *name;
	json_t *value;

	if (!params || json_is_null(params))
		return 0;
	if (!json_is_object(params))
		return error_set(err, -EINVAL, "%s: params must be an object", method);
	json_object_foreach((json_t *)(uintptr_t)params, name, value) {
		const struct control_param *p = param_lookup(list, name);
		int rc = p ? 0 : unknown(method, list, name, err);

		if (!rc && !json_is_null(value))
			rc = value_check(method, p, value, err);
		if (rc)
			return rc;
	}
	return 0;
}
