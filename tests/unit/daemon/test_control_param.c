/*
 * test_control_param.c - parameters of requests: what is unknown, of another type or out of bounds
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/admin/control_param.h"

static const struct control_param list[] = {{"uri", CONTROL_TEXT, 0, 0},
	{"depth", CONTROL_NUMBER, 1, 256}, {"force", CONTROL_FLAG, 0, 0}, {NULL, 0, 0, 0}};

static int check(const struct control_param *l, const char *json, struct error *err)
{
	json_t *params = json_loads(json, JSON_DECODE_ANY, NULL);
	int rc;

	assert_non_null(params);
	rc = control_params_check("attach", l, params, err);
	json_decref(params);
	return rc;
}

static void passes(const char *json)
{
	struct error err = {""};

	if (check(list, json, &err))
		fail_msg("%s was refused: %s", json, err.text);
}

static void is_refused(const char *json, const char *part)
{
	struct error err = {""};

	if (check(list, json, &err) != -EINVAL || !strstr(err.text, part))
		fail_msg("%s: \"%s\" does not say \"%s\"", json, err.text, part);
}

static void params_within_their_bounds_pass(void **state)
{
	struct error err = {""};

	passes("{}");
	passes("null");
	passes("{\"uri\":\"nbd://h/x\",\"depth\":1,\"force\":true}");
	passes("{\"depth\":256,\"force\":false}");
	passes("{\"uri\":null,\"depth\":null}");
	assert_int_equal(control_params_check("list", NULL, NULL, &err), 0);
}

static void number_out_of_its_bounds_is_refused(void **state)
{
	static const char *const bad[] = {"0", "-1", "257", "65537", "65538", "4294967297",
		"9223372036854775807", "1.0", "true", "\"1\"", "[1]"};
	char json[64];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(json, sizeof(json), "{\"depth\":%s}", bad[i]);
		is_refused(json, "attach: depth must be a whole number from 1 to 256");
	}
}

static void value_of_another_type_is_refused(void **state)
{
	is_refused("{\"uri\":5}", "attach: uri must be a string");
	is_refused("{\"uri\":{}}", "attach: uri must be a string");
	is_refused("{\"force\":1}", "attach: force must be true or false");
	is_refused("{\"force\":\"yes\"}", "attach: force must be true or false");
}

static void unknown_parameter_is_refused(void **state)
{
	struct error err = {""};

	is_refused("{\"uri\":\"x\",\"nam\":\"y\"}",
		"attach has no parameter \"nam\"; it takes uri, depth, force");
	is_refused("{\"\":1}", "has no parameter \"\"");
	is_refused("[1]", "params must be an object");
	is_refused("\"uri\"", "params must be an object");
	assert_int_equal(check(NULL, "{\"a\":1}", &err), -EINVAL);
	assert_non_null(strstr(err.text, "takes no parameters, and was given \"a\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(params_within_their_bounds_pass),
		cmocka_unit_test(number_out_of_its_bounds_is_refused),
		cmocka_unit_test(value_of_another_type_is_refused),
		cmocka_unit_test(unknown_parameter_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
