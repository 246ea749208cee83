/*
 * engine_world.c - a whole engine on fakes: its port, its workers, the kernel and the time
 *
 * One thread turns everything in a fixed order, so a run is the same each time. The state files of
 * block devices are real, in a directory of the test's own.
 */
#include "tests/unit/daemon/engine_world.h"

#include <assert.h>
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>
#include <rte_eal.h>
#include "config/log.h"

#define CPUS 4

uint64_t virtual_us;
struct config world_cfg;
struct engine *world;

/* A device has no more queues than the machine has processors: as many here on every machine. */
long __real_sysconf(int name);
long __wrap_sysconf(int name);
long __wrap_sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN ? CPUS : __real_sysconf(name);
}

int eal_world_start(void **state)
{
	static char arg[][24] = {"test", "--no-huge", "-m", "192", "--no-pci", "--no-shconf",
		"--iova-mode=va", "--no-telemetry", "--log-level=error", "-l", "0"};
	char *argv[RTE_DIM(arg) + 1] = {0};

	for (size_t i = 0; i < RTE_DIM(arg); i++)
		argv[i] = arg[i];
	log_level_set(LOG_LEVEL_ERROR);
	return rte_eal_init((int)RTE_DIM(arg), argv) < 0 ? -1 : 0;
}

int eal_world_stop(void **state)
{
	return rte_eal_cleanup();
}

int world_setup(void **state)
{
	virtual_us = 1000 * SECOND_US;
	world = NULL;
	fake_port_reset();
	fake_ublk_reset();
	fake_workers_reset();
	fake_host = (struct fake_host){0};
	config_defaults(&world_cfg);
	world_cfg.port_count = 1;
	world_cfg.ports[0] = (struct config_port){.name = "storage",
		.kind = DEVICE_PCI,
		.device = "0000:00:03.0",
		.address = {"192.0.2.10/24"},
		.address_count = 1,
		.exception = EXCEPTION_OFF};
	world_cfg.reserve.normal = 512;
	snprintf(world_cfg.run_dir, sizeof(world_cfg.run_dir), "/tmp/sluice-engine-XXXXXX");
	return mkdtemp(world_cfg.run_dir) ? 0 : -1;
}

/* The workers are well again and the kernel answers: what is on its way out gets there. */
static void world_mend(void)
{
	for (unsigned i = 0; i < fake_worker_count; i++) {
		if (!fake_workers[i])
			continue;
		fake_workers[i]->is_mute = false;
		fake_workers[i]->room = FAKE_RING_MAX;
	}
	fake_kernel = (struct fake_kernel){.scheduler = "none"};
}

int world_teardown(void **state)
{
	struct engine *e = world;

	if (e) {
		world_mend();
		engine_detach_all(e, true);
		if (!world_until("", 300 * SECOND_US))
			return -1;
		world = NULL;
		engine_destroy(e);
	}
	fake_ublk_kernel_ends();
	for (int id = 0; id < 16; id++)
		ublk_state_remove(world_cfg.run_dir, id);
	rmdir(world_cfg.run_dir);
	return fake_volumes_alive || fake_groups_alive || fake_ublks_alive || fake_dma_alive ||
			       fake_ports_alive || fake_exceptions_alive || fake_host.follows_alive
		       ? -1
		       : 0;
}

void world_make(unsigned queues)
{
	const struct engine_facts facts = {.has_hugepages = true, .memory_mib = 192};
	struct error err = {""};

	world_cfg.ports[0].queues = (uint16_t)queues;
	world = engine_create(&world_cfg, &facts, &err);
	if (!world)
		fail_msg("%s", err.text);
}

static void turn(void)
{
	virtual_us += TURN_US;
	fake_workers_turn();
	engine_poll(world);
}

void world_run(uint64_t us)
{
	uint64_t end_us = virtual_us + us;

	while (virtual_us < end_us)
		turn();
}

const char *world_step(void)
{
	static struct device_info info;

	return engine_device_list(world, &info, 1) ? info.step : "";
}

bool world_until(const char *step, uint64_t us)
{
	uint64_t end_us = virtual_us + us;

	while (strcmp(world_step(), step) != 0 && virtual_us < end_us)
		turn();
	return strcmp(world_step(), step) == 0;
}

bool world_answers(const struct answer *a, uint64_t us)
{
	uint64_t end_us = virtual_us + us;

	while (a->calls == 0 && virtual_us < end_us)
		turn();
	return a->calls > 0;
}

void world_on_answer(void *arg, int rc, const char *device, const struct error *err)
{
	struct answer *a = arg;

	a->calls++;
	a->rc = rc;
	snprintf(a->device, sizeof(a->device), "%s", device);
	a->error = *err;
}

struct config_volume world_volume(const char *name, unsigned connections)
{
	struct config_volume v = {.uri_count = 1,
		.uris = {"nbd://192.0.2.1/disk"},
		.connections = (uint16_t)connections,
		.queue_depth = 8,
		.io_bytes_max = 64 << 10,
		.cc = "cubic"};

	snprintf(v.name, sizeof(v.name), "%s", name);
	return v;
}

int world_attach(const struct config_volume *v, enum engine_front front, struct answer *a)
{
	static const struct bench_config load = {.rw = BENCH_RANDREAD,
		.bs_min = 4096,
		.bs_max = 4096,
		.iodepth = 4,
		.runtime_us = 1000000};
	const struct engine_attach how = {.volume = v,
		.front = front,
		.bench = front == FRONT_BENCH ? &load : NULL,
		.deadline_ms = ATTACH_MS,
		.done = world_on_answer,
		.arg = a};

	*a = (struct answer){0};
	return engine_attach(world, &how, &a->error);
}

int world_detach(const char *name, enum engine_detach how, struct answer *a)
{
	*a = (struct answer){0};
	return engine_detach(world, name, how, world_on_answer, a, &a->error);
}

void world_serve(const struct config_volume *v, enum engine_front front)
{
	struct answer a;

	assert_int_equal(world_attach(v, front, &a), 0);
	assert_true(world_answers(&a, 60 * SECOND_US));
	assert_int_equal(a.rc, 0);
}

unsigned world_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

void world_takings(struct takings *out)
{
	struct reserve_owner_info owners[OWNER_MAX];
	uint32_t total;

	*out = (struct takings){fake_volumes_alive, fake_groups_alive, fake_ublks_alive,
		fake_dma_alive, 0, world_fds(), {0}};
	for (unsigned i = 0; i < engine_pool_count(world); i++) {
		out->owners += reserve_owners(engine_pool(world, i), owners, OWNER_MAX);
		engine_sum(world, i, &total, &out->floor[i]);
	}
}

void world_assert_same(const struct takings *before)
{
	struct takings now;

	world_takings(&now);
	assert_int_equal(now.volumes, before->volumes);
	assert_int_equal(now.groups, before->groups);
	assert_int_equal(now.ublks, before->ublks);
	assert_int_equal(now.buffers, before->buffers);
	assert_int_equal(now.owners, before->owners);
	assert_int_equal(now.fds, before->fds);
	assert_memory_equal(now.floor, before->floor, sizeof(now.floor));
}
