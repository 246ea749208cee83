/*
 * test_control_hostile.c - the control socket among fools and enemies
 *
 * Nonsense, half lines, long lines, silence, deafness, crowds: each costs its client the connection
 * at most, and the others nothing.
 */
#include "tests/unit/daemon/control_world.h"
#include "tests/unit/between.h"

static void nonsense_is_told_and_the_client_kept(void **state)
{
	static const char *const lines[] = {"x\n", "{\n", "[]garbage\n", "\"a\xff\"\n",
		"{\"method\":\"echo\",\"method\":\"echo\"}\n"};
	struct world *w = *state;
	int fd = client_open(w);

	for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		say(w, fd, lines[i]);
		hears_error(w, fd, -32700, "not JSON");
	}
	say_bytes(w, fd, "{\"method\":\"echo\"}\0\n", 19);
	hears_error(w, fd, -32700, "not JSON");
	say(w, fd, ECHO_1);
	hears(w, fd, ECHO_1_SAID);
	close(fd);
}

static void json_that_is_no_request_is_told(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);

	say(w, fd, "[]\n");
	hears_error(w, fd, -32600, "a request is an object");
	say(w, fd, "{}\n");
	hears_error(w, fd, -32600, "a request is an object");
	say(w, fd, "{\"method\":5}\n");
	hears_error(w, fd, -32600, "a request is an object");
	say(w, fd, "{\"method\":\"\",\"id\":9}\n");
	hears_error(w, fd, -32601, "there is no method");
	close(fd);
}

static void deep_json_is_told(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);
	char text[30000];

	memset(text, '[', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	say_bytes(w, fd, text, sizeof(text));
	hears_error(w, fd, -32700, "not JSON");
	close(fd);
}

static void line_cut_at_any_byte_is_waited_for(void **state)
{
	struct world *w = *state;
	int fd = client_open(w);

	for (size_t cut = 1; cut < sizeof(ECHO_1) - 1; cut++) {
		say_bytes(w, fd, ECHO_1, cut);
		say(w, fd, ECHO_1 + cut);
		hears(w, fd, ECHO_1_SAID);
	}
	close(fd);
}

static void client_that_leaves_in_a_line_leaves_nothing(void **state)
{
	struct world *w = *state;

	for (size_t cut = 0; cut < sizeof(ECHO_1) - 2; cut++) {
		int fd = client_open(w);

		say_bytes(w, fd, ECHO_1, cut);
		close(fd);
		control_poll(w->control, 0);
	}
	assert_int_equal(w->call_count, 0);
}

static void line_too_long_ends_the_client_and_no_other(void **state)
{
	struct world *w = *state;
	int good = client_open(w), bad = client_open(w);
	static char text[CONTROL_LINE_BYTES_MAX + 1];

	memset(text, 'x', sizeof(text));
	say_bytes(w, bad, text, CONTROL_LINE_BYTES_MAX);
	hears_error(w, bad, -32600, "the line is too long");
	assert_true(is_closed(w, bad));
	say(w, good, ECHO_1);
	hears(w, good, ECHO_1_SAID);
	close(bad);
	close(good);
}

static void longest_line_is_answered(void **state)
{
	static const char head[] = "{\"id\":1,\"method\":\"refuse\",\"other\":{\"a\":\"",
			  tail[] = "\"}}\n";
	static char text[CONTROL_LINE_BYTES_MAX];
	struct world *w = *state;
	int fd = client_open(w);

	memset(text, 'x', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + sizeof(text) - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
	say_bytes(w, fd, text, sizeof(text));
	hears_error(w, fd, -32003, "no, and");
	close(fd);
}

static void seventeenth_client_is_turned_away_and_a_seat_comes_free(void **state)
{
	struct world *w = *state;
	int fds[CONTROL_CLIENT_MAX], extra;

	for (unsigned i = 0; i < CONTROL_CLIENT_MAX; i++)
		fds[i] = client_open(w);
	extra = client_open(w);
	assert_true(is_closed(w, extra));
	close(extra);
	say(w, fds[15], ECHO_1);
	hears(w, fds[15], ECHO_1_SAID);
	close(fds[3]);
	control_poll(w->control, 0);
	extra = client_open(w);
	say(w, extra, ECHO_1);
	hears(w, extra, ECHO_1_SAID);
	close(extra);
	for (unsigned i = 0; i < CONTROL_CLIENT_MAX; i++) {
		if (i != 3)
			close(fds[i]);
	}
}

static void client_that_does_not_read_costs_nobody_time(void **state)
{
	struct world *w = *state;
	int deaf = client_open(w), good = client_open(w);
	char *text = malloc(1100000);
	ssize_t n;

	say(w, deaf, "{\"id\":1,\"method\":\"big\",\"params\":{\"bytes\":1000000}}\n");
	say(w, good, ECHO_1);
	hears(w, good, ECHO_1_SAID);
	n = hear_bytes(w, deaf, text, 1100000);
	assert_between(n, 1000000, 1000100);
	free(text);
	close(deaf);
	close(good);
}

static void unread_answers_have_a_bound(void **state)
{
	struct world *w = *state;
	int deaf = client_open(w), good = client_open(w);

	for (unsigned i = 0; i < 6; i++) {
		if (send(deaf, "{\"id\":1,\"method\":\"big\",\"params\":{\"bytes\":1000000}}\n", 51,
			    MSG_NOSIGNAL) < 0)
			break;
		control_poll(w->control, 0);
	}
	/* Closed by now: what the socket still holds ends without the fifth answer. */
	assert_int_equal(send(deaf, "\n", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	say(w, good, ECHO_1);
	hears(w, good, ECHO_1_SAID);
	close(deaf);
	close(good);
}

/* Waits on the clock, which is what a deadline is about; the poll ends early only by an event. */
static void silence_and_dribble_end_at_the_deadline(void **state)
{
	struct world *w = *state;
	int silent = client_open(w), dribbler = client_open(w), caller = client_open(w);
	struct pollfd end = {.fd = dribbler, .events = POLLIN};

	control_idle_set(w->control, 200);
	say(w, caller, "{\"id\":1,\"method\":\"slow\"}\n");
	for (unsigned i = 0; i < 100 && poll(&end, 1, 0) == 0; i++) {
		send(dribbler, "x", 1, MSG_NOSIGNAL);
		control_poll(w->control, 20);
		poll(NULL, 0, 20);
	}
	assert_true(is_closed(w, dribbler));
	assert_true(is_closed(w, silent));
	control_reply(w->held, 0, json_string("done"), NULL);
	hears(w, caller, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"done\"}");
	close(silent);
	close(dribbler);
	close(caller);
}

static void watched_descriptor_ends_a_wait(void **state)
{
	struct world *w = *state;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(control_watch(w->control, ends[0]), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	control_poll(w->control, 60000); /* the group's time limit would tell */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(control_watch(w->control, ends[0]), 0);
	assert_int_equal(control_watch(w->control, ends[0]), -ENOSPC);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_end)
	const struct CMUnitTest tests[] = {
		IN_WORLD(nonsense_is_told_and_the_client_kept),
		IN_WORLD(json_that_is_no_request_is_told),
		IN_WORLD(deep_json_is_told),
		IN_WORLD(line_cut_at_any_byte_is_waited_for),
		IN_WORLD(client_that_leaves_in_a_line_leaves_nothing),
		IN_WORLD(line_too_long_ends_the_client_and_no_other),
		IN_WORLD(longest_line_is_answered),
		IN_WORLD(seventeenth_client_is_turned_away_and_a_seat_comes_free),
		IN_WORLD(client_that_does_not_read_costs_nobody_time),
		IN_WORLD(unread_answers_have_a_bound),
		IN_WORLD(silence_and_dribble_end_at_the_deadline),
		IN_WORLD(watched_descriptor_ends_a_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
