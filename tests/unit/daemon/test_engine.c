/*
 * test_engine.c - an engine comes up whole or not at all, and tells the truth about itself
 *
 * Start-up is refused at each of its stages in turn; what was made before must be gone. Then
 * the facts (info.c), the memory (memory.c) and the faults that tests may ask for.
 */
#include "tests/unit/daemon/engine_world.h"

/* ---- start-up ---- */

/* What each stage is refused by, and what the refusal says. */
static void refused(int *stage, int rc, const char *says)
{
	const struct engine_facts facts = {.has_hugepages = true, .memory_mib = 192};
	struct error err = {""};

	*stage = rc;
	assert_null(engine_create(&world_cfg, &facts, &err));
	*stage = 0;
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	assert_int_equal(fake_ports_alive, 0);
	assert_int_equal(fake_ports_started, 0);
	assert_int_equal(fake_exceptions_alive, 0);
	for (unsigned i = 0; i < fake_worker_count; i++)
		assert_null(fake_workers[i]);
	fake_worker_count = 0;
}

static void refusal_at_any_stage_of_the_start_leaves_nothing(void **state)
{
	world_cfg.ports[0].exception = EXCEPTION_TAP;
	world_cfg.ports[0].queues = 2;
	refused(&fake_nic.open_rc, -ENODEV, "port storage: not found");
	refused(&fake_nic.exception_rc, -ENOENT, "/dev/net/tun");
	refused(&fake_nic.exception_start_rc, -EAGAIN, "thread");
	refused(&fake_nic.queue_rc, -EINVAL, "port storage: RX queue 0");
	refused(&fake_nic.start_rc, -EIO, "port does not start");
	refused(&fake_worker_create_rc, -ENOMEM, "worker 0");
	refused(&fake_worker_start_rc, -EAGAIN, "worker 0: thread");
	world_make(2); /* and then it works */
}

static void xdp_that_the_kernel_refuses_is_refused_with_the_remedy(void **state)
{
	world_cfg.ports[0].kind = DEVICE_AF_XDP;
	snprintf(world_cfg.ports[0].device, sizeof(world_cfg.ports[0].device), "eth7");
	refused(&fake_nic.queue_rc, -EINVAL, "the kernel refuses XDP on eth7: set an MTU of 3500");
	refused(&fake_nic.queue_rc, -EINVAL, "or use af_packet:eth7 (RX queue 0)");
}

static void port_without_an_address_is_refused_with_the_remedy(void **state)
{
	int unused = 0;

	world_cfg.ports[0].address_count = 0;
	refused(&unused, 0, "write `address: 192.0.2.2/24` under it");
}

static void worker_gets_its_queue_its_pools_and_tcp_ports_of_its_own(void **state)
{
	world_make(2);
	for (unsigned w = 0; w < 2; w++) {
		const struct worker_config *cfg = &fake_workers[w]->cfg;

		assert_int_equal(cfg->queue, w);
		assert_ptr_equal(cfg->rx_pool, engine_pool(world, w));
		assert_int_equal(cfg->addr_count, 1);
		assert_int_equal(cfg->local_port_count, LOCAL_PORT_MAX);
		assert_non_null(cfg->handover);
		assert_ptr_equal(cfg->siblings[1], fake_workers[1]);
	}
	assert_int_not_equal(
		fake_workers[0]->cfg.local_ports[0], fake_workers[1]->cfg.local_ports[0]);
}

static void engine_gives_back_its_tcp_ports(void **state)
{
	unsigned before = world_fds();

	world_make(2);
	assert_true(world_fds() >= before + 2 * LOCAL_PORT_MAX);
	engine_destroy(world);
	world = NULL;
	assert_int_equal(world_fds(), before);
}

static void single_worker_hands_nothing_over(void **state)
{
	world_make(1);
	assert_null(fake_workers[0]->cfg.handover);
}

/* ---- facts ---- */

static void guarantee_is_full_only_with_a_nic_and_hugepages(void **state)
{
	const struct engine_facts ordinary = {.has_hugepages = false, .memory_mib = 192};
	struct error err;
	const char *why;

	world_make(1);
	assert_true(engine_guarantee(world, &why));
	engine_destroy(world);
	world = engine_create(&world_cfg, &ordinary, &err);
	assert_false(engine_guarantee(world, &why));
	assert_non_null(strstr(why, "no hugepages"));
	engine_destroy(world);
	fake_nic.facts.is_full_guarantee = false;
	world_make(1);
	assert_false(engine_guarantee(world, &why));
	assert_non_null(strstr(why, "af_packet"));
}

static void counts_and_names_follow_the_volumes(void **state)
{
	const struct config_volume one = world_volume("one", 1), two = world_volume("two", 1);
	struct device_info v[VOLUME_MAX];
	struct answer a;

	world_make(1);
	assert_false(engine_is_moving(world));
	assert_int_equal(world_attach(&one, FRONT_UBLK, &a), 0);
	assert_true(engine_is_moving(world));
	assert_true(world_answers(&a, SECOND_US));
	assert_false(engine_is_moving(world));
	world_serve(&two, FRONT_UBLK);
	assert_int_equal(engine_device_count(world), 2);
	assert_true(engine_has(world, "two"));
	assert_false(engine_has(world, "three"));
	assert_int_equal(engine_device_list(world, v, VOLUME_MAX), 2);
	assert_string_equal(v[1].volume.name, "two");
	assert_string_equal(v[1].device, "/dev/ublkb1");
	assert_string_equal(v[1].uri, "nbd://192.0.2.1/disk");
	assert_int_equal(engine_device_list(world, v, 1), 1);
}

static void every_slot_can_be_used_and_the_next_is_refused(void **state)
{
	struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;
	char name[16];

	world_cfg.reserve.size = 0; /* nothing is refused for want of mbufs */
	world_make(1);
	v.queue_depth = 1;
	for (unsigned i = 0; i < VOLUME_MAX; i++) {
		snprintf(name, sizeof(name), "v%u", i);
		memcpy(v.name, name, sizeof(name));
		world_serve(&v, FRONT_BENCH);
	}
	memcpy(v.name, "more", 5);
	assert_int_equal(world_attach(&v, FRONT_BENCH, &a), -ENOSPC);
	assert_non_null(strstr(a.error.text, "64"));
	engine_detach_all(world, false);
	assert_true(world_until("", 60 * SECOND_US));
}

static void probe_is_there_while_its_answer_is_given(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	assert_null(engine_probe(world, VOLUME));
	assert_int_equal(world_attach(&v, FRONT_NONE, &a), 0);
	assert_non_null(engine_probe(world, VOLUME));
	assert_true(world_until("", SECOND_US));
	assert_null(engine_probe(world, VOLUME));
}

/* ---- memory ---- */

static uint64_t term(const struct engine_memory *m, const char *name, uint64_t *count)
{
	for (unsigned i = 0; i < m->term_count; i++)
		if (strcmp(m->terms[i].name, name) == 0) {
			*count = m->terms[i].count;
			return m->terms[i].bytes;
		}
	*count = 0;
	return 0;
}

static void memory_of_a_worker_is_its_terms_and_its_volumes_staging(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct engine_memory before, with;
	uint64_t count, sum = 0;

	world_make(1);
	engine_memory_worker(world, 0, &before);
	assert_int_equal(term(&before, "staging", &count), 0);
	assert_int_equal(term(&before, "packets", &count), reserve_bytes(engine_pool(world, 0)));
	world_serve(&v, FRONT_UBLK);
	engine_memory_worker(world, 0, &with);
	assert_int_equal(term(&with, "staging", &count), v.queue_depth * v.io_bytes_max);
	assert_int_equal(count, 1);
	assert_true(term(&with, "volumes", &count) > 0);
	for (unsigned i = 0; i < with.term_count; i++)
		sum += with.terms[i].bytes;
	assert_int_equal(with.bytes, sum);
	engine_memory_process(world, &with);
	assert_int_equal(with.resident, host_memory_resident());
}

static void memory_asked_of_dpdk_grows_with_volumes_and_queues(void **state)
{
	uint32_t none, volume, queues;

	none = engine_memory_mib(&world_cfg);
	world_cfg.volume_count = 1;
	world_cfg.volumes[0] = world_volume(VOLUME, 1);
	world_cfg.volumes[0].queue_depth = 64;
	world_cfg.volumes[0].io_bytes_max = 1 << 20;
	volume = engine_memory_mib(&world_cfg);
	assert_true(volume >= none + 64);
	world_cfg.ports[0].queues = 2;
	queues = engine_memory_mib(&world_cfg);
	assert_true(queues > volume);
	world_cfg.memory_mib = 77;
	assert_int_equal(engine_memory_mib(&world_cfg), 77);
}

/* Room for two later devices of 32 MiB must be free, but is taken only where it cannot come later.
 */
static void dpdk_takes_at_start_what_cannot_come_later(void **state)
{
	struct engine_facts huge = {.has_hugepages = true}, ordinary = {.has_hugepages = false};
	uint32_t whole;

	world_cfg.volume_count = 1;
	world_cfg.volumes[0] = world_volume(VOLUME, 1);
	world_cfg.volumes[0].queue_depth = 64;
	world_cfg.volumes[0].io_bytes_max = 1 << 20;
	world_cfg.ports[0].kind = DEVICE_PCI;
	whole = engine_memory_mib(&world_cfg);
	engine_memory_start(&world_cfg, &ordinary);
	assert_true(ordinary.has_staging_in_heap);
	assert_int_equal(ordinary.memory_mib, whole);
	engine_memory_start(&world_cfg, &huge);
	assert_true(huge.has_staging_in_heap);
	assert_int_equal(huge.memory_mib + 2 * 32, whole);
	world_cfg.ports[0].kind = DEVICE_AF_PACKET;
	whole = engine_memory_mib(&world_cfg);
	engine_memory_start(&world_cfg, &ordinary);
	assert_false(ordinary.has_staging_in_heap);
	assert_int_equal(ordinary.memory_mib + 64 + 2 * 32, whole);
	world_cfg.memory_mib = 77;
	engine_memory_start(&world_cfg, &ordinary);
	assert_true(ordinary.has_staging_in_heap);
	assert_int_equal(ordinary.memory_mib, 77);
}

/* ---- faults ---- */

static void starving_reaches_every_worker_even_by_a_full_ring(void **state)
{
	world_make(2);
	fake_workers[1]->room = 0;
	assert_int_equal(engine_starve(world, true), 0);
	world_run(TURN_US);
	assert_int_equal(fake_workers[0]->last[WORKER_STARVE].n, 1);
	assert_int_equal(fake_workers[1]->carried[WORKER_STARVE], 0);
	fake_workers[1]->room = FAKE_RING_MAX;
	world_run(2 * TURN_US);
	assert_int_equal(fake_workers[1]->carried[WORKER_STARVE], 1);
}

static void faults_of_one_worker_say_when_the_ring_is_full(void **state)
{
	world_make(1);
	assert_int_equal(engine_fault_leak(world, "no such owner", 3), -ENOENT);
	assert_int_equal(engine_fault_leak(world, "unclassified", 3), 0);
	assert_int_equal(engine_fault_refill(world, 5), 0);
	world_run(TURN_US);
	assert_int_equal(fake_workers[0]->last[WORKER_LEAK].n, 3);
	assert_int_equal((uintptr_t)fake_workers[0]->last[WORKER_LEAK].a, OWNER_UNCLASSIFIED);
	assert_int_equal(fake_workers[0]->last[WORKER_REFILL_FAIL].n, 5);
	fake_workers[0]->room = 0;
	assert_int_equal(engine_fault_leak(world, "unclassified", 3), -EAGAIN);
	assert_int_equal(engine_fault_refill(world, 5), -EAGAIN);
}

static void level_is_held_by_name(void **state)
{
	struct error err = {""};

	world_make(1);
	assert_int_equal(engine_level(world, "purple", &err), -EINVAL);
	assert_non_null(strstr(err.text, "purple"));
	assert_int_equal(engine_level(world, "red", &err), 0);
	world_run(TURN_US);
	assert_int_equal(reserve_level(engine_pool(world, 0)), RESERVE_RED);
	assert_int_equal(engine_level(world, "off", &err), 0);
	world_run(TURN_US);
	assert_int_equal(reserve_level(engine_pool(world, 0)), RESERVE_GREEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(refusal_at_any_stage_of_the_start_leaves_nothing),
		world_test(xdp_that_the_kernel_refuses_is_refused_with_the_remedy),
		world_test(port_without_an_address_is_refused_with_the_remedy),
		world_test(worker_gets_its_queue_its_pools_and_tcp_ports_of_its_own),
		world_test(engine_gives_back_its_tcp_ports),
		world_test(single_worker_hands_nothing_over),
		world_test(guarantee_is_full_only_with_a_nic_and_hugepages),
		world_test(counts_and_names_follow_the_volumes),
		world_test(every_slot_can_be_used_and_the_next_is_refused),
		world_test(probe_is_there_while_its_answer_is_given),
		world_test(memory_of_a_worker_is_its_terms_and_its_volumes_staging),
		world_test(memory_asked_of_dpdk_grows_with_volumes_and_queues),
		world_test(dpdk_takes_at_start_what_cannot_come_later),
		world_test(starving_reaches_every_worker_even_by_a_full_ring),
		world_test(faults_of_one_worker_say_when_the_ring_is_full),
		world_test(level_is_held_by_name),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
