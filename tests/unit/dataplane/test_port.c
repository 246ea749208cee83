/*
 * test_port.c - a port over DPDK's ring and null drivers: its facts, its refusals, its packets
 *
 * The ring driver carries packets the test gives it, and takes as many as its ring has room for.
 * The null driver allocates a packet for each it receives, as a NIC's driver refills its ring: with
 * it the right to dip into the reserve is looked at.
 */
#include <errno.h>
#include <string.h>
#include <rte_bus_vdev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include "dataplane/port.h"
#include "tests/unit/mempool_reserve/pool.h"

#define RING_COUNT 64u
#define POOL_COUNT 512u

struct stage {
	struct rte_ring *in, *out;
	struct reserve *rx;
	struct port *port;
};

static struct stage st;
static struct error err;

/* DPDK's drivers without a NIC take any MTU; this one does not. */
static uint16_t mtu_max;

int __real_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info);
int __wrap_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info);
int __wrap_rte_eth_dev_info_get(uint16_t id, struct rte_eth_dev_info *info)
{
	int rc = __real_rte_eth_dev_info_get(id, info);

	if (mtu_max)
		info->max_mtu = mtu_max;
	return rc;
}

static int setup(void **state)
{
	mtu_max = 0;
	memset(&st, 0, sizeof(st));
	err.text[0] = 0;
	st.in = rte_ring_create("in", RING_COUNT, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	st.out = rte_ring_create("out", RING_COUNT, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	st.rx = pool_of("rx", POOL_COUNT, FLOOR, MBUF_DATA_BYTES);
	if (!st.in || !st.out || !st.rx)
		return -1;
	return rte_eth_from_rings("test", &st.in, 1, &st.out, 1, 0) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct rte_mbuf *m;

	port_close(st.port);
	while (st.in && rte_ring_dequeue(st.in, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	while (st.out && rte_ring_dequeue(st.out, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_vdev_uninit("net_ring_test"); /* where no port was opened it is still there */
	rte_vdev_uninit("net_null_test");
	rte_ring_free(st.in);
	rte_ring_free(st.out);
	reserve_destroy(st.rx);
	return 0;
}

static struct config_port config(const char *device)
{
	struct config_port cfg = {.name = "storage", .kind = DEVICE_PCI};

	snprintf(cfg.device, sizeof(cfg.device), "%s", device);
	return cfg;
}

static void open_and_start(const char *device)
{
	struct config_port cfg = config(device);

	assert_int_equal(port_open(&cfg, 0, 1, &st.port, &err), 0);
	assert_int_equal(port_queue_setup(st.port, 0, st.rx, &err), 0);
	assert_int_equal(port_start(st.port, &err), 0);
	reserve_arm(st.rx);
}

static struct rte_mbuf *packet(void)
{
	struct rte_mbuf *m;

	assert_int_equal(take(st.rx, &m, 1), 0);
	memset(rte_pktmbuf_append(m, 60), 0, 60);
	return m;
}

/* ---- facts and refusals ---- */

static void device_that_dpdk_does_not_know_is_refused_by_name(void **state)
{
	struct config_port cfg = config("0000:99:00.0");

	assert_true(port_open(&cfg, 0, 1, &st.port, &err) < 0);
	assert_null(st.port);
	assert_non_null(strstr(err.text, "storage"));
	assert_non_null(strstr(err.text, "0000:99:00.0"));
}

static void more_queues_than_the_device_has_are_refused_with_the_number(void **state)
{
	struct config_port cfg = config("net_ring_test");

	assert_int_equal(port_open(&cfg, 0, 2, &st.port, &err), -EINVAL);
	assert_non_null(strstr(err.text, "queues"));
	assert_non_null(strstr(err.text, "1"));
}

static void mtu_larger_than_the_driver_takes_is_refused_with_its_limit(void **state)
{
	struct config_port cfg = config("net_ring_test");

	mtu_max = 9000;
	cfg.mtu = 9001;
	assert_int_equal(port_open(&cfg, 0, 1, &st.port, &err), -EINVAL);
	assert_non_null(strstr(err.text, "9000"));
	cfg.mtu = 9000;
	assert_int_equal(port_open(&cfg, 0, 1, &st.port, &err), 0);
}

static void facts_are_the_devices_and_no_more_than_was_planned(void **state)
{
	struct config_port cfg = config("net_ring_test");
	struct port_facts plan;
	const struct port_facts *f;
	struct rte_ether_addr mac;

	port_facts_plan(&cfg, &plan);
	open_and_start("net_ring_test");
	f = port_facts(st.port);
	assert_int_equal(rte_eth_macaddr_get(f->id, &mac), 0);
	assert_memory_equal(f->mac, mac.addr_bytes, 6);
	assert_int_equal(f->mtu, 1500);
	assert_int_equal(f->queues, 1);
	assert_true(f->ring_mbufs > 0 && f->ring_mbufs <= plan.ring_mbufs);
	assert_int_equal(f->burst_mbufs, BURST_MAX);
	assert_true(f->burst_mbufs <= plan.burst_mbufs);
	assert_true(f->is_full_guarantee);
	assert_true(f->flow_rules[0] != 0);
	assert_true(port_link_up(st.port));
}

static void port_without_an_interrupt_has_nothing_to_wait_for(void **state)
{
	open_and_start("net_ring_test");
	assert_int_equal(port_rx_fd(st.port, 0), -1);
	assert_false(port_rx_is_socket(st.port));
	assert_false(port_facts(st.port)->has_rx_interrupt);
}

/* ---- packets ---- */

static void packets_come_in_bursts_and_are_counted(void **state)
{
	struct rte_mbuf *m[BURST_MAX];
	struct port_stats stats;

	open_and_start("net_ring_test");
	for (unsigned i = 0; i < BURST_MAX + 3; i++)
		assert_int_equal(rte_ring_enqueue(st.in, packet()), 0);
	assert_int_equal(port_rx(st.port, 0, m), BURST_MAX);
	rte_pktmbuf_free_bulk(m, BURST_MAX);
	assert_int_equal(port_rx(st.port, 0, m), 3);
	rte_pktmbuf_free_bulk(m, 3);
	assert_int_equal(port_rx(st.port, 0, m), 0);
	port_stats(st.port, &stats);
	assert_int_equal(stats.rx_packets, BURST_MAX + 3);
	assert_int_equal(stats.tx_packets, 0);
}

static void full_tx_ring_takes_the_first_and_leaves_the_rest_to_the_caller(void **state)
{
	struct rte_mbuf *m[RING_COUNT + 8], *first = NULL;
	unsigned n = 0, sent;

	open_and_start("net_ring_test");
	for (unsigned i = 0; i < RTE_DIM(m); i++)
		m[i] = packet();
	do {
		sent = port_tx(st.port, 0, m + n, RTE_DIM(m) - n);
		n += sent;
	} while (sent);
	assert_int_equal(n, RING_COUNT - 1); /* a ring of DPDK's holds one less */
	assert_int_equal(rte_ring_dequeue(st.out, (void **)&first), 0);
	assert_ptr_equal(first, m[0]);
	rte_pktmbuf_free(first);
	port_tx_reclaim(st.port, 0);
	rte_pktmbuf_free_bulk(m + n, (unsigned)RTE_DIM(m) - n);
}

/* ---- the reserve ---- */

/* Below the floor a refill is served, and nothing else is. */
static void refill_may_dip_into_the_reserve_and_only_the_refill(void **state)
{
	struct rte_mbuf *all[POOL_COUNT], *m[BURST_MAX], *one;
	unsigned taken = 0, n;

	if (rte_vdev_init("net_null_test", "size=60"))
		skip();
	open_and_start("net_null_test");
	while (take(st.rx, &all[taken], 1) == 0)
		taken++;
	assert_int_equal(info(st.rx).free, FLOOR);
	n = port_rx(st.port, 0, m);
	assert_int_equal(n, BURST_MAX);
	assert_int_equal(info(st.rx).free, FLOOR - BURST_MAX);
	assert_true(info(st.rx).dips > 0);
	assert_int_not_equal(take(st.rx, &one, 1), 0);
	rte_pktmbuf_free_bulk(m, n);
	rte_pktmbuf_free_bulk(all, taken);
	assert_int_equal(info(st.rx).free, POOL_COUNT);
}

#define port_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		port_test(device_that_dpdk_does_not_know_is_refused_by_name),
		port_test(more_queues_than_the_device_has_are_refused_with_the_number),
		port_test(mtu_larger_than_the_driver_takes_is_refused_with_its_limit),
		port_test(facts_are_the_devices_and_no_more_than_was_planned),
		port_test(port_without_an_interrupt_has_nothing_to_wait_for),
		port_test(packets_come_in_bursts_and_are_counted),
		port_test(full_tx_ring_takes_the_first_and_leaves_the_rest_to_the_caller),
		port_test(refill_may_dip_into_the_reserve_and_only_the_refill),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
