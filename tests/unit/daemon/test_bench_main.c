/*
 * test_bench_main.c - a bench from its options to its JSON, and how it ends when it cannot
 *
 * The engine is real, on fakes; the load is real, and its requests are answered by the fake worker
 * at once. A wait of the process is a turn of everybody, so a run of seconds takes no time.
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <jansson.h>
#include "daemon/bench_main.h"
#include "tests/unit/between.h"
#include "tests/unit/daemon/engine_world.h"

#define URI "nbd://192.0.2.1/disk"

static struct bench_args args;
static struct error err;
static char output[65536];
static bool is_start_refused;

/* ---- the process around it ---- */

struct engine *daemon_engine_start(const struct daemon_run *run, struct error *why)
{
	if (is_start_refused) {
		error_set(why, -EIO, "no port");
		return NULL;
	}
	world_cfg = *run->cfg;
	world_make(world_cfg.ports[0].queues);
	return world;
}

void daemon_engine_end(struct engine *e)
{
	engine_destroy(e);
	world = NULL;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
	virtual_us += (uint64_t)ms * 1000;
	fake_workers_turn();
	return 0;
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *ts, const sigset_t *set);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *ts, const sigset_t *set)
{
	return __wrap_poll(fds, count, 5);
}

/* ---- a run ---- */

static int setup(void **state)
{
	args = (struct bench_args){.uri = URI, .cfg.rwmix_read_pct = 50};
	err.text[0] = 0;
	is_start_refused = false;
	return world_setup(state);
}

static void option(enum bench_opt opt, const char *text)
{
	if (bench_arg(&args, opt, text, &err))
		fail_msg("%s", err.text);
}

/* Out: what bench_main() answers; what it prints is in output. */
static int run(void)
{
	const struct daemon_run how = {.cfg = &world_cfg};
	static struct config cfg;
	struct daemon_run copy = how;
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO), rc;
	size_t n;

	cfg = world_cfg;
	copy.cfg = &cfg;
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	rc = bench_main(&copy, &args, &err);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	n = fread(output, 1, sizeof(output) - 1, file);
	output[n] = 0;
	fclose(file);
	return rc;
}

/* ---- options ---- */

static void options_are_fios_words(void **state)
{
	option(BENCH_OPT_RW, "randwrite");
	option(BENCH_OPT_BS, "4k-64k");
	option(BENCH_OPT_IODEPTH, "32");
	option(BENCH_OPT_RUNTIME, "7s");
	option(BENCH_OPT_SIZE, "1m");
	option(BENCH_OPT_MIX, "70");
	assert_int_equal(args.cfg.rw, BENCH_RANDWRITE);
	assert_int_equal(args.cfg.bs_min, 4096);
	assert_int_equal(args.cfg.bs_max, 65536);
	assert_int_equal(args.cfg.iodepth, 32);
	assert_int_equal(args.cfg.runtime_us, 7 * SECOND_US);
	assert_int_equal(args.cfg.size_bytes, 1 << 20);
	assert_int_equal(args.cfg.rwmix_read_pct, 70);
}

static void option_out_of_bounds_is_refused_by_name(void **state)
{
	static const struct {
		enum bench_opt opt;
		const char *text, *says;
	} bad[] = {{BENCH_OPT_IODEPTH, "0", "--iodepth=0"},
		{BENCH_OPT_IODEPTH, "257", "--iodepth=257"},
		{BENCH_OPT_RUNTIME, "x", "--runtime=x"}, {BENCH_OPT_RUNTIME, "86401", "--runtime"},
		{BENCH_OPT_MIX, "101", "--rwmixread=101"}, {BENCH_OPT_BS, "8m", "--bs=8m"},
		{BENCH_OPT_BS, "8k-4k", "--bs=8k-4k"}, {BENCH_OPT_VOLUMES, "65", "--volumes=65"},
		{BENCH_OPT_RW, "sideways", "sideways"}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = 0;
		assert_int_equal(bench_arg(&args, bad[i].opt, bad[i].text, &err), -EINVAL);
		if (!strstr(err.text, bad[i].says))
			fail_msg("\"%s\" does not say %s", err.text, bad[i].says);
	}
}

/* ---- results ---- */

static void result_is_json_with_what_was_done(void **state)
{
	json_t *j;

	option(BENCH_OPT_JSON, NULL);
	option(BENCH_OPT_RW, "randread");
	option(BENCH_OPT_IODEPTH, "4");
	option(BENCH_OPT_RUNTIME, "2");
	assert_int_equal(run(), 0);
	j = json_loads(output, 0, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "rw")), "randread");
	assert_int_equal(json_integer_value(json_object_get(j, "iodepth")), 4);
	/* Four each turn of 5 ms, for two seconds. */
	assert_between(json_integer_value(json_object_get(j, "ios")), 1500, 1700);
	assert_true(json_real_value(json_object_get(j, "iops")) > 1.0);
	assert_true(json_real_value(json_object_get(j, "write_iops")) < 0.1);
	assert_int_equal(json_integer_value(json_object_get(j, "errors")), 0);
	assert_int_equal(json_integer_value(json_object_get(j, "parts")), 1);
	assert_non_null(json_object_get(json_object_get(j, "explain"), "pools"));
	json_decref(j);
}

static void result_is_one_line_for_people(void **state)
{
	option(BENCH_OPT_RUNTIME, "1");
	assert_int_equal(run(), 0);
	assert_int_equal(strncmp(output, URI ": rw=read bs=4k iodepth=1: ", strlen(URI) + 27), 0);
	assert_non_null(strstr(output, " 0 errors"));
	assert_ptr_equal(strchr(output, '\n'), output + strlen(output) - 1);
}

static void several_volumes_share_the_load(void **state)
{
	json_t *j;

	option(BENCH_OPT_JSON, NULL);
	option(BENCH_OPT_VOLUMES, "3");
	option(BENCH_OPT_BUSY, "2");
	option(BENCH_OPT_RUNTIME, "1");
	world_cfg.reserve.size = 0;
	assert_int_equal(run(), 0);
	j = json_loads(output, 0, NULL);
	assert_non_null(j);
	assert_true(json_integer_value(json_object_get(j, "ios")) > 100);
	json_decref(j);
}

static void failed_requests_are_the_exit_status(void **state)
{
	option(BENCH_OPT_RUNTIME, "1");
	fake_server.result = -EIO;
	assert_int_equal(run(), 1);
	assert_null(strstr(output, " 0 errors"));
}

/* ---- refusals ---- */

static void server_that_is_silent_ends_the_run_with_a_sentence(void **state)
{
	fake_server.is_silent = true;
	assert_int_equal(run(), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "192.0.2.1:10809"));
	assert_null(world);
}

static void load_that_never_ends_is_called_stuck(void **state)
{
	option(BENCH_OPT_RUNTIME, "1");
	fake_server.is_deaf = true;
	assert_int_equal(run(), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "stuck"));
	assert_null(world);
}

static void start_that_is_refused_is_no_result(void **state)
{
	is_start_refused = true;
	assert_true(run() < 0);
	assert_string_equal(err.text, "no port");
	assert_string_equal(output, "");
}

static void plans_that_make_no_sense_are_refused_before_the_start(void **state)
{
	is_start_refused = true;
	option(BENCH_OPT_VOLUMES, "2");
	option(BENCH_OPT_BUSY, "3");
	assert_int_equal(run(), -EINVAL);
	assert_non_null(strstr(err.text, "--busy=3"));
	args.busy = 0;
	option(BENCH_OPT_VERIFY, NULL);
	assert_int_equal(run(), -EINVAL);
	assert_non_null(strstr(err.text, "--verify"));
	args.uri = "nbd:/nonsense";
	assert_true(run() < 0);
	assert_string_not_equal(err.text, "no port");
}

static void faults_are_in_force_before_the_load(void **state)
{
	option(BENCH_OPT_RUNTIME, "1");
	args.level = "purple";
	assert_int_equal(run(), -EINVAL);
	assert_non_null(strstr(err.text, "purple"));
	assert_null(world);
}

#define bench_test(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bench_test(options_are_fios_words),
		bench_test(option_out_of_bounds_is_refused_by_name),
		bench_test(result_is_json_with_what_was_done),
		bench_test(result_is_one_line_for_people),
		bench_test(several_volumes_share_the_load),
		bench_test(failed_requests_are_the_exit_status),
		bench_test(server_that_is_silent_ends_the_run_with_a_sentence),
		bench_test(load_that_never_ends_is_called_stuck),
		bench_test(start_that_is_refused_is_no_result),
		bench_test(plans_that_make_no_sense_are_refused_before_the_start),
		bench_test(faults_are_in_force_before_the_load),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
