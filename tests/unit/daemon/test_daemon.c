/*
 * test_daemon.c - the daemon comes up in order, ends in order, and takes back what it did when it
 * cannot
 *
 * Engine, EAL, take-over and the machine are the test's own and write down what is asked of them, a
 * letter each; the control socket and the signals are real. Time passes with the turns of the
 * engine.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "config/host/host.h"
#include "config/log.h"
#include "daemon/admin/methods.h"
#include "daemon/admin/reload.h"
#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "daemon/eal.h"
#include "daemon/eal_log.h"
#include "daemon/engine/engine_info.h"
#include "daemon/engine/takeover.h"
#include "nbd_client/ublk/ublk.h"
#include "tests/unit/between.h"

#define TURN_MS 1000u

static struct config cfg;
static char asked[64];
static unsigned asked_count, turns, polled_takeover, volumes;
static uint64_t now_ms;
static bool is_holding;	    /* the volumes go by force only */
static bool is_stuck;	    /* … and not even so */
static int turns_pipe = -1; /* of a child: it says how many turns it took */
static int eal_rc, engine_rc, takeover_rc, lock_rc;
static void (*each_turn)(void);
static bool had_socket;
static bool is_wanting; /* from the third turn on: that the daemon starts anew */
static const char *config_path;

static void note(char letter)
{
	if (asked_count < sizeof(asked) - 1)
		asked[asked_count++] = letter;
}

/* ---- the machine and EAL ---- */

int host_process_protect(const char *const paths[], unsigned count, struct error *err)
{
	note('p');
	return 0;
}

int host_stacks_fit(void)
{
	return 0;
}

int host_memory_lock(struct error *err)
{
	note('l');
	return lock_rc ? error_set(err, lock_rc, "not permitted") : 0;
}

int eal_start(const struct config *c, uint32_t mib, int argc, char **argv,
	struct engine_facts *facts, struct error *err)
{
	assert_int_equal(mib, 77);
	note('E');
	return eal_rc ? error_set(err, eal_rc, "no memory for DPDK") : 0;
}

void eal_stop(void)
{
	note('e');
}

void eal_log_append(struct error *err)
{
}

void eal_log_release(void)
{
}

/* The log's thread, which would wait by the real clock. */
int __wrap_log_thread_start(void);
int __wrap_log_thread_start(void)
{
	note('L');
	return 0;
}

void __wrap_log_thread_stop(unsigned ms);
void __wrap_log_thread_stop(unsigned ms)
{
	note('w');
}

/* ---- the engine ---- */

int engine_fd(const struct engine *e)
{
	return -1; /* no name is looked up */
}

uint32_t engine_memory_mib(const struct config *c)
{
	return 77;
}

struct engine *engine_create(
	const struct config *c, const struct engine_facts *facts, struct error *err)
{
	note('C');
	if (engine_rc) {
		error_set(err, engine_rc, "no port");
		return NULL;
	}
	return (struct engine *)&volumes;
}

void engine_destroy(struct engine *e)
{
	note('c');
}

void notify_init(struct notify *n)
{
}

void notify_send(const char *state)
{
}

void notify_poll(struct notify *n, struct engine *e, uint64_t now_us)
{
}

bool engine_guarantee(const struct engine *e, const char **why)
{
	*why = "a test";
	return true;
}

bool engine_is_moving(const struct engine *e)
{
	return true; /* short waits on the control socket */
}

void engine_poll(struct engine *e)
{
	had_socket |= access(cfg.socket, F_OK) == 0;
	now_ms += TURN_MS;
	turns++;
	if (turns_pipe >= 0 && write(turns_pipe, ".", 1) != 1)
		_exit(97);
	if (turns > 500 && turns_pipe >= 0)
		_exit(96);
	if (turns > 500)
		fail_msg("it does not end: %s", asked);
	if (each_turn)
		each_turn();
}

unsigned engine_device_count(const struct engine *e)
{
	return volumes;
}

int ublk_helper_start(struct error *err)
{
	return 0;
}

void engine_leave_all(struct engine *e, bool all)
{
	note(all ? 'K' : 'k');
}

bool engine_wants_restart(const struct engine *e)
{
	return is_wanting && turns >= 3;
}

void engine_restart_refused(struct engine *e)
{
	note('r');
	is_wanting = false;
}

void engine_detach_all(struct engine *e, bool force)
{
	note(force ? 'F' : 'd');
	if ((force || !is_holding) && !is_stuck)
		volumes = 0;
}

/* ---- take-over, methods, time ---- */

struct takeover *takeover_create(const struct config *c, struct engine *e)
{
	note('T');
	return takeover_rc ? NULL : (struct takeover *)&volumes;
}

void takeover_destroy(struct takeover *t)
{
	note('t');
}

int reload(struct daemon_state *d, json_t **result, struct error *err)
{
	note('R');
	return -ENOTSUP;
}

void takeover_poll(struct takeover *t)
{
	polled_takeover++;
}

const struct control_method *methods_table(unsigned *count)
{
	*count = 0;
	return NULL;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	ts->tv_sec = (time_t)(now_ms / 1000);
	ts->tv_nsec = (long)(now_ms % 1000) * 1000000;
	return 0;
}

/* ---- runs ---- */

static void socket_set(const char *name)
{
	snprintf(cfg.socket, sizeof(cfg.socket), "%.40s/%s", cfg.run_dir, name);
}

static int setup(void **state)
{
	memset(asked, 0, sizeof(asked));
	asked_count = turns = polled_takeover = volumes = 0;
	eal_rc = engine_rc = takeover_rc = lock_rc = 0;
	is_holding = is_stuck = had_socket = is_wanting = false;
	config_path = NULL;
	each_turn = NULL;
	now_ms = 1000000;
	snprintf(cfg.run_dir, sizeof(cfg.run_dir), "/tmp/sluice-daemon-XXXXXX");
	if (!mkdtemp(cfg.run_dir))
		return -1;
	socket_set("control.sock");
	return 0;
}

static int teardown(void **state)
{
	return rmdir(cfg.run_dir); /* fails where the socket is left behind */
}

static int run(bool is_keeping, struct error *err)
{
	const struct daemon_run how = {
		.cfg = &cfg, .config_path = config_path, .is_keeping = is_keeping};

	err->text[0] = 0;
	return daemon_main(&how, err);
}

static void term_at_the_third_turn(void)
{
	if (turns == 3)
		kill(getpid(), SIGTERM);
}

static void int_at_the_third_turn(void)
{
	if (turns == 3)
		kill(getpid(), SIGINT);
}

static void term_twice(void)
{
	if (turns == 3 || turns == 6)
		kill(getpid(), SIGTERM);
}

static void term_thrice(void)
{
	if (turns == 3 || turns == 6 || turns == 9)
		kill(getpid(), SIGTERM);
}

/* ---- claims ---- */

static void daemon_comes_up_and_ends_in_order(void **state)
{
	struct error err;

	each_turn = term_at_the_third_turn;
	volumes = 2;
	assert_int_equal(run(false, &err), 0);
	/* Protect, log, EAL, engine, lock memory, take over; leave what is in use, detach; and
	 * back. */
	assert_string_equal(asked, "pLEClTkdtcew");
	assert_true(had_socket);
	assert_between(polled_takeover, 2, 3);
}

static void interrupt_from_the_terminal_ends_it_too(void **state)
{
	struct error err;

	each_turn = int_at_the_third_turn;
	assert_int_equal(run(false, &err), 0);
	assert_string_equal(asked, "pLEClTkdtcew");
}

static void keeping_leaves_every_device(void **state)
{
	struct error err;

	each_turn = term_at_the_third_turn;
	assert_int_equal(run(true, &err), 0);
	assert_string_equal(asked, "pLEClTKdtcew");
}

static void term_at_the_sixth_turn(void)
{
	if (turns == 6)
		kill(getpid(), SIGTERM);
}

/* With a configuration that is good, and 2 volumes. Out: what daemon_main() answers. */
static int run_wanting(struct error *err)
{
	char path[128];
	FILE *file;
	int rc;

	snprintf(path, sizeof(path), "%s/sluice.yaml", cfg.run_dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("ports:\n  - {name: a, device: \"af_packet:lo\"}\n", file);
	fclose(file);
	config_path = path;
	is_wanting = true;
	volumes = 2;
	rc = run(false, err);
	unlink(path);
	return rc;
}

static void port_that_answers_has_the_daemon_leave_all_and_start_anew(void **state)
{
	struct error err;

	assert_int_equal(run_wanting(&err), DAEMON_AGAIN);
	assert_string_equal(asked, "pLEClTKdtcew");
	assert_int_equal(turns, 3);
}

static void daemon_told_to_end_while_it_starts_anew_ends(void **state)
{
	struct error err;

	is_holding = true;
	each_turn = term_at_the_sixth_turn;
	assert_int_equal(run_wanting(&err), 0);
	assert_string_equal(asked, "pLEClTKdFtcew");
}

/* The devices would have no daemon. */
static void daemon_whose_file_is_no_good_now_does_not_start_anew(void **state)
{
	struct error err;

	config_path = "/nonexistent/sluice.yaml";
	is_wanting = true;
	each_turn = term_at_the_sixth_turn;
	assert_int_equal(run(false, &err), 0);
	assert_string_equal(asked, "pLEClTrkdtcew");
}

static void second_signal_forces_the_end(void **state)
{
	struct error err;

	each_turn = term_twice;
	volumes = 1;
	is_holding = true;
	assert_int_equal(run(false, &err), 0);
	assert_string_equal(asked, "pLEClTkdFtcew");
	assert_between(turns, 6, 8);
}

static void end_that_takes_too_long_is_forced(void **state)
{
	struct error err;

	each_turn = term_at_the_third_turn;
	volumes = 1;
	is_holding = true;
	assert_int_equal(run(false, &err), 0);
	assert_string_equal(asked, "pLEClTkdFtcew");
	assert_between(turns, 60, 70); /* seconds, a turn each */
}

/* Out: turns until a daemon with a volume that never goes ended its process, with status 1. */
static unsigned turns_until_exit(void)
{
	int pipes[2], status;
	unsigned count = 0;
	struct error err;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		turns_pipe = pipes[1];
		volumes = 1;
		is_holding = is_stuck = true;
		run(false, &err);
		_exit(98);
	}
	close(pipes[1]);
	while (read(pipes[0], &byte, 1) == 1)
		count++;
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	unlink(cfg.socket); /* the next daemon replaces it */
	return count;
}

static void volume_that_never_goes_does_not_keep_the_process(void **state)
{
	each_turn = term_at_the_third_turn;
	assert_between(turns_until_exit(), 90, 100); /* seconds, a turn each */
}

static void third_signal_ends_the_process(void **state)
{
	each_turn = term_thrice;
	assert_between(turns_until_exit(), 9, 11);
}

static void devices_are_not_taken_over_while_it_ends(void **state)
{
	struct error err;

	each_turn = term_at_the_third_turn;
	volumes = 1;
	is_holding = true;
	assert_int_equal(run(false, &err), 0);
	assert_true(polled_takeover <= 3);
}

static void memory_that_cannot_be_locked_is_no_reason_to_end(void **state)
{
	struct error err;

	each_turn = term_at_the_third_turn;
	lock_rc = -EPERM;
	assert_int_equal(run(false, &err), 0);
	assert_string_equal(asked, "pLEClTkdtcew");
}

static void refusal_at_any_stage_takes_back_the_ones_before(void **state)
{
	struct error err;

	eal_rc = -ENOMEM;
	assert_true(run(false, &err) < 0);
	assert_string_equal(asked, "pLEw");
	assert_string_equal(err.text, "no memory for DPDK");
	eal_rc = 0;
	engine_rc = -ENODEV;
	assert_true(run(false, &err) < 0);
	assert_string_equal(asked, "pLEwpLECew");
	assert_string_equal(err.text, "no port");
	engine_rc = 0;
	socket_set("none/control.sock");
	assert_true(run(false, &err) < 0);
	assert_string_equal(asked, "pLEwpLECewpLEClcew");
	assert_non_null(strstr(err.text, "control.sock"));
	socket_set("control.sock");
	takeover_rc = -ENOMEM;
	assert_true(run(false, &err) < 0);
	assert_string_equal(asked, "pLEwpLECewpLEClcewpLEClTcew");
}

#define daemon_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		daemon_test(daemon_comes_up_and_ends_in_order),
		daemon_test(interrupt_from_the_terminal_ends_it_too),
		daemon_test(keeping_leaves_every_device),
		daemon_test(port_that_answers_has_the_daemon_leave_all_and_start_anew),
		daemon_test(daemon_told_to_end_while_it_starts_anew_ends),
		daemon_test(daemon_whose_file_is_no_good_now_does_not_start_anew),
		daemon_test(second_signal_forces_the_end),
		daemon_test(end_that_takes_too_long_is_forced),
		daemon_test(volume_that_never_goes_does_not_keep_the_process),
		daemon_test(third_signal_ends_the_process),
		daemon_test(devices_are_not_taken_over_while_it_ends),
		daemon_test(memory_that_cannot_be_locked_is_no_reason_to_end),
		daemon_test(refusal_at_any_stage_takes_back_the_ones_before),
	};

	unsetenv("NOTIFY_SOCKET");
	log_level_set(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
