/*
 * test_control.c - the control socket among friends: requests, answers, calls that take their time
 */
#include "tests/unit/daemon/control_world.h"

static void request_is_answered_with_its_id(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);

	say(w, fd, ECHO_1);
	hears(w, fd, ECHO_1_SAID);
	say(w, fd, "{\"id\":\"x\",\"method\":\"echo\"}\n");
	hears(w, fd, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}");
	close(fd);
}

static void unfit_parameters_never_reach_the_method(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);

	say(w, fd, "{\"id\":2,\"method\":\"echo\",\"params\":[1]}\n");
	hears_error(w, fd, -32602, "params must be an object");
	say(w, fd, "{\"id\":3,\"method\":\"echo\",\"params\":{\"a\":101}}\n");
	hears_error(w, fd, -32602, "a must be a whole number from 0 to 100");
	say(w, fd, "{\"id\":4,\"method\":\"echo\",\"params\":{\"b\":1}}\n");
	hears_error(w, fd, -32602, "has no parameter \"b\"");
	say(w, fd, "{\"id\":5,\"method\":\"refuse\",\"params\":{\"b\":1}}\n");
	hears_error(w, fd, -32602, "takes no parameters");
	assert_int_equal(w->call_count, 0);
	say(w, fd, ECHO_1);
	hears(w, fd, ECHO_1_SAID);
	close(fd);
}

static void refusal_carries_its_sentence(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);

	say(w, fd, "{\"id\":1,\"method\":\"refuse\"}\n");
	hears_error(w, fd, -32003, "no, and \"why\" is\nthis");
	close(fd);
}

/* Each kind keeps its number: programs compare it. */
static void kinds_of_failure_have_codes_of_their_own(void **state)
{
	static const struct {
		int rc, code;
		const char *name;
	} kinds[] = {{-ENOENT, -32001, "not-found"}, {-EEXIST, -32002, "exists"},
		{-EBUSY, -32003, "busy"}, {-ENOSPC, -32004, "no-room"},
		{-ENOTSUP, -32005, "unsupported"}, {-ETIMEDOUT, -32006, "timed-out"},
		{-EALREADY, -32007, "under-way"}, {-ECONNREFUSED, -32011, "server"},
		{-EINVAL, -32602, "invalid"}, {-EXDEV, -32000, "failed"}};
	struct world *w = *state;
	struct error err = {"so"};
	int fd = client_open(w);

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		char want[160];

		say(w, fd, "{\"id\":1,\"method\":\"slow\"}\n");
		control_reply(w->held, kinds[i].rc, NULL, &err);
		snprintf(want, sizeof(want),
			"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":%d,\"message\":\"so\","
			"\"data\":"
			"{\"name\":\"%s\"}}}",
			kinds[i].code, kinds[i].name);
		hears(w, fd, want);
	}
	close(fd);
}

static void notification_is_done_and_not_answered(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);

	say(w, fd, "{\"method\":\"echo\"}\n{\"method\":\"refuse\"}\n{\"method\":\"nothing\"}\n");
	say(w, fd, "{\"method\":\"slow\"}\n");
	control_reply(w->held, 0, json_string("done"), NULL);
	say(w, fd, "{\"id\":7,\"method\":\"echo\"}\n");
	hears(w, fd, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}");
	assert_int_equal(w->call_count, 2);
	close(fd);
}

static void many_lines_at_once_are_answered_in_order(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);

	say(w, fd, ECHO_1 "\n{\"id\":2,\"method\":\"nothing\"}\n{\"id\":3,\"method\":\"echo\"}\n");
	hears(w, fd, ECHO_1_SAID);
	hears_error(w, fd, -32601, "there is no method \"nothing\"");
	hears(w, fd, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}");
	close(fd);
}

static void socket_is_for_its_owner_only(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(lstat(w->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	control_destroy(w->control);
	w->control = NULL;
	assert_int_equal(lstat(w->path, &st), -1);
}

static void stale_socket_is_replaced_and_a_file_is_not(void **state)
{
	struct world *w = *state;
	struct error err;
	char other[64];
	int fd;

	snprintf(other, sizeof(other), "%s/f", w->dir);
	fd = open(other, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_null(control_create(other, methods, 4, w, &err));
	assert_non_null(strstr(err.text, "is no socket"));
	assert_int_equal(unlink(other), 0);
	assert_null(control_create("/nonexistent/s", methods, 4, w, &err));
	assert_non_null(strstr(err.text, "/nonexistent/s"));
	/* As a daemon killed while listening leaves it: the caller holds the lock by now. */
	control_destroy(control_create(w->path, methods, 4, w, &err));
	assert_int_equal(access(w->path, F_OK), -1);
}

/* ---- calls that take their time ---- */

static void slow_call_holds_up_nobody_else(void **state)
{
	struct world *w = *state;
	int first = client_open(w), second = client_open(w);

	say(w, first, "{\"id\":1,\"method\":\"slow\"}\n" ECHO_1);
	assert_non_null(w->held);
	say(w, second, ECHO_1);
	hears(w, second, ECHO_1_SAID);
	assert_int_equal(w->call_count, 1);
	control_reply(w->held, 0, json_string("done"), NULL);
	hears(w, first, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"done\"}");
	hears(w, first, ECHO_1_SAID);
	close(first);
	close(second);
}

static void slow_call_may_fail(void **state)
{
	struct world *w = *state;
	struct error err = {"the server is gone"};
	int fd = client_open(w);

	say(w, fd, "{\"id\":1,\"method\":\"slow\"}\n");
	control_reply(w->held, -EIO, NULL, &err);
	hears_error(w, fd, -32000, "the server is gone");
	close(fd);
}

static void answer_for_a_client_that_left_is_dropped(void **state)
{
	struct world *w = *state;
	int fd = client_open(w), next;

	say(w, fd, "{\"id\":1,\"method\":\"slow\"}\n");
	close(fd);
	control_poll(w->control, 0);
	control_poll(w->control, 0);
	next = client_open(w);
	control_reply(w->held, 0, json_string("for nobody"), NULL);
	say(w, next, ECHO_1);
	hears(w, next, ECHO_1_SAID);
	close(next);
}

static void client_that_only_stopped_talking_hears_the_answer(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);

	say(w, fd, "{\"id\":1,\"method\":\"slow\"}\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	control_poll(w->control, 0);
	control_poll(w->control, 0);
	control_reply(w->held, 0, json_string("done"), NULL);
	hears(w, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"done\"}");
	assert_true(is_closed(w, fd));
	close(fd);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_end)
	const struct CMUnitTest tests[] = {
		IN_WORLD(request_is_answered_with_its_id),
		IN_WORLD(unfit_parameters_never_reach_the_method),
		IN_WORLD(refusal_carries_its_sentence),
		IN_WORLD(kinds_of_failure_have_codes_of_their_own),
		IN_WORLD(notification_is_done_and_not_answered),
		IN_WORLD(many_lines_at_once_are_answered_in_order),
		IN_WORLD(socket_is_for_its_owner_only),
		IN_WORLD(stale_socket_is_replaced_and_a_file_is_not),
		IN_WORLD(slow_call_holds_up_nobody_else),
		IN_WORLD(slow_call_may_fail),
		IN_WORLD(answer_for_a_client_that_left_is_dropped),
		IN_WORLD(client_that_only_stopped_talking_hears_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
