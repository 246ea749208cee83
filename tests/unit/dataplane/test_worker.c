/*
 * test_worker.c - a worker as it runs: commands, packets in and out, volumes, and its end
 *
 * The thread, its stack, classifier, NBD client and pools are real; the port is a pair of rings
 * that the test fills and empties. After a worker's end every mbuf is back in its pool.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <rte_ring.h>
#include "dataplane/worker_impl.h"
#include "tests/unit/mempool_reserve/pool.h"

#define POOL_COUNT 512u
#define HDR_COUNT  255u
#define CONN_MAX   4u
#define WAIT_MS	   5000
#define ARP_BYTES  60u
#define OPCODE_AT  21u
#define SENDER_AT  31u /* last byte of the sender's address */

struct port {
	struct rte_ring *in, *out;
	struct port_facts facts;
	bool is_full; /* the NIC takes nothing */
};

static struct port port;
static struct reserve *rx, *hdr;
static struct rte_mempool *ext;
static struct worker *worker;
static struct error err;

/* ---- the port ---- */

const struct port_facts *port_facts(const struct port *p)
{
	return &p->facts;
}

unsigned port_rx(struct port *p, uint16_t q, struct rte_mbuf **m)
{
	return rte_ring_dequeue_burst(p->in, (void **)m, BURST_MAX, NULL);
}

unsigned port_tx(struct port *p, uint16_t q, struct rte_mbuf **m, unsigned n)
{
	if (__atomic_load_n(&p->is_full, __ATOMIC_RELAXED))
		return 0;
	return rte_ring_enqueue_burst(p->out, (void **)m, n, NULL);
}

void port_tx_reclaim(struct port *p, uint16_t q)
{
}

int port_rx_fd(struct port *p, uint16_t q)
{
	return -1;
}

bool port_rx_is_socket(const struct port *p)
{
	return false;
}

bool port_rx_arm(struct port *p, uint16_t q)
{
	return false;
}

void port_rx_disarm(struct port *p, uint16_t q)
{
}

/* ---- a worker ---- */

static struct worker_config config(void)
{
	return (struct worker_config){
		.cpu = -1,
		.port = &port,
		.rx_pool = rx,
		.hdr_pool = hdr,
		.ext_pool = ext,
		.conn_max = CONN_MAX,
		.addr_count = 1,
		.addrs[0] = {.ip = {.family = 2, .addr = {10, 0, 0, 2}}, .prefix_bits = 24},
	};
}

static int setup(void **state)
{
	struct worker_config cfg;

	port = (struct port){.facts = {.mac = {2, 0, 0, 0, 0, 2},
				     .mtu = 1500,
				     .rx_ring = 64,
				     .tx_ring = 64,
				     .offload = {.tx_seg_max = TX_CHAIN_MAX}}};
	port.in = rte_ring_create("in", 256, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	port.out = rte_ring_create("out", 256, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	rx = pool_of_frames("rx", POOL_COUNT);
	hdr = pool_of("hdr", HDR_COUNT, 0, HDR_DATA_BYTES);
	ext = rte_pktmbuf_pool_create_by_ops(
		"ext", 255, 0, NET_EXT_PRIV_BYTES, 0, SOCKET_ID_ANY, "stack");
	if (!port.in || !port.out || !rx || !hdr || !ext)
		return -1;
	reserve_arm(hdr);
	cfg = config();
	worker = worker_create(&cfg, &err);
	return worker ? 0 : -1;
}

static void end(void)
{
	struct rte_mbuf *m;

	worker_join(worker);
	worker_destroy(worker);
	worker = NULL;
	while (rte_ring_dequeue(port.in, (void **)&m) == 0 ||
		rte_ring_dequeue(port.out, (void **)&m) == 0)
		rte_pktmbuf_free(m);
}

static int teardown(void **state)
{
	bool is_whole;

	end();
	is_whole = info(rx).free == POOL_COUNT && info(hdr).free == HDR_COUNT &&
		   rte_mempool_avail_count(ext) == 255;
	rte_ring_free(port.in);
	rte_ring_free(port.out);
	reserve_destroy(rx);
	reserve_destroy(hdr);
	rte_mempool_free(ext);
	return is_whole ? 0 : -1;
}

static void start(void)
{
	assert_int_equal(worker_start(worker, &err), 0);
}

/* ---- waiting for another thread, by a deadline ---- */

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool comes(bool (*is_there)(uint64_t arg), uint64_t arg)
{
	uint64_t end_ms = clock_ms() + WAIT_MS;

	while (!is_there(arg) && clock_ms() < end_ms)
		sched_yield();
	return is_there(arg);
}

static bool is_done(uint64_t ticket)
{
	return worker_done(worker, ticket);
}

static bool has_left(uint64_t count)
{
	return rte_ring_count(port.out) >= count;
}

static bool has_come(uint64_t count)
{
	struct worker_stats s;

	worker_stats(worker, &s);
	return s.rx_packets >= count;
}

static bool was_refused(uint64_t count)
{
	struct worker_stats s;

	worker_stats(worker, &s);
	return s.tx_full >= count;
}

static void carried_out(struct worker_cmd cmd)
{
	uint64_t ticket;

	assert_true(worker_post(worker, &cmd, &ticket));
	assert_true(comes(is_done, ticket));
}

/* Who has 10.0.0.@tpa, asked by 10.0.0.9. */
static void arp_arrives(uint8_t tpa)
{
	const uint8_t arp[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8,
		0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, tpa};
	struct rte_mbuf *m = NULL;

	assert_int_equal(take(rx, &m, 1), 0);
	m->data_len = m->pkt_len = ARP_BYTES;
	memset(rte_pktmbuf_mtod(m, void *), 0, ARP_BYTES);
	memcpy(rte_pktmbuf_mtod(m, void *), arp, sizeof(arp));
	reserve_force_burst(rx, &m, 1, OWNER_UNCLASSIFIED, OWNER_RING, 0);
	assert_int_equal(rte_ring_enqueue(port.in, m), 0);
}

static const uint8_t *leaves(void)
{
	static uint8_t frame[2048];
	struct rte_mbuf *m = NULL;

	assert_true(comes(has_left, 1));
	assert_int_equal(rte_ring_dequeue(port.out, (void **)&m), 0);
	memcpy(frame, rte_pktmbuf_mtod(m, const void *), m->data_len);
	rte_pktmbuf_free(m);
	return frame;
}

/* ---- commands ---- */

static void commands_are_carried_out_in_order(void **state)
{
	start();
	for (uint32_t floor = 10; floor < 200; floor += 10) {
		const struct worker_cmd cmd = {.type = WORKER_FLOOR_SET, .n = floor};

		while (!worker_post(worker, &cmd, NULL))
			sched_yield();
	}
	carried_out((struct worker_cmd){.type = WORKER_FLOOR_SET, .n = 77});
	assert_int_equal(info(rx).floor, 77);
}

static void full_command_ring_refuses_and_loses_nothing(void **state)
{
	const struct worker_cmd cmd = {.type = WORKER_FLOOR_SET, .n = 33};
	uint64_t ticket = 0, last = 0;
	unsigned n = 0;

	while (worker_post(worker, &cmd, &ticket)) { /* it does not run yet */
		assert_true(ticket > last);
		last = ticket;
		n++;
	}
	assert_int_equal(n, WORKER_CMD_MAX - 1);
	assert_int_equal(ticket, last); /* a refusal gives none */
	assert_false(worker_done(worker, last));
	start();
	assert_true(comes(is_done, last));
	carried_out((struct worker_cmd){.type = WORKER_FLOOR_SET, .n = 44});
	assert_int_equal(info(rx).floor, 44);
}

static void addresses_and_mtu_reach_the_stack(void **state)
{
	static struct worker_addrs addrs = {.count = 1,
		.addrs[0] = {.ip = {.family = 2, .addr = {10, 0, 0, 3}}, .prefix_bits = 24}};
	const uint8_t *frame;

	start();
	carried_out((struct worker_cmd){.type = WORKER_ADDRS_SET, .a = &addrs});
	carried_out((struct worker_cmd){.type = WORKER_MTU_SET, .n = 1280});
	arp_arrives(2); /* not ours any more */
	arp_arrives(3);
	do { /* the new address is announced, too */
		frame = leaves();
		assert_int_equal(frame[SENDER_AT], 3);
	} while (frame[OPCODE_AT] != 2);
}

static void faults_are_in_force_when_they_are_done(void **state)
{
	struct rte_mbuf *m;

	if (!SLUICE_FAULT_INJECTION)
		skip();
	start();
	carried_out((struct worker_cmd){.type = WORKER_STARVE, .n = 1});
	assert_int_not_equal(take(rx, &m, 1), 0);
	carried_out((struct worker_cmd){.type = WORKER_STARVE, .n = 0});
	assert_int_equal(take(rx, &m, 1), 0);
	rte_pktmbuf_free(m);
}

/* ---- packets ---- */

static void question_for_our_address_is_answered(void **state)
{
	const uint8_t *frame;

	start();
	arp_arrives(2);
	frame = leaves();
	assert_int_equal(frame[OPCODE_AT], 2);
	assert_memory_equal(frame + 6, port.facts.mac, 6);
	assert_int_equal(frame[SENDER_AT], 2);
}

static void frames_the_nic_does_not_take_are_sent_later(void **state)
{
	__atomic_store_n(&port.is_full, true, __ATOMIC_RELAXED);
	start();
	arp_arrives(2);
	assert_true(comes(was_refused, 3));
	assert_int_equal(rte_ring_count(port.out), 0);
	__atomic_store_n(&port.is_full, false, __ATOMIC_RELAXED);
	assert_int_equal(leaves()[OPCODE_AT], 2);
	assert_int_equal(rte_ring_count(port.out), 0); /* and once */
}

/* teardown() looks whether they are back. */
static void frames_the_nic_never_took_are_given_back_at_the_end(void **state)
{
	__atomic_store_n(&port.is_full, true, __ATOMIC_RELAXED);
	start();
	arp_arrives(2);
	assert_true(comes(was_refused, 1));
	worker_join(worker);
	assert_true(info(hdr).free < HDR_COUNT);
	end();
	assert_int_equal(info(hdr).free, HDR_COUNT);
}

static void packets_are_counted_by_class_and_none_stays_unclassified(void **state)
{
	uint64_t counts[4], sum = 0;
	struct rte_mbuf *m;

	start();
	for (unsigned i = 0; i < 40; i++)
		arp_arrives(i % 2 ? 2 : 77);
	assert_int_equal(take(rx, &m, 1), 0); /* no Ethernet header */
	rte_pktmbuf_append(m, 6);
	reserve_force_burst(rx, &m, 1, OWNER_UNCLASSIFIED, OWNER_RING, 0);
	assert_int_equal(rte_ring_enqueue(port.in, m), 0);
	assert_true(comes(has_come, 41));
	assert_true(comes(has_left, 20));
	worker_join(worker);
	worker_class_counts(worker, counts);
	for (unsigned i = 0; i < 4; i++)
		sum += counts[i];
	assert_int_equal(sum, 41);
	assert_int_equal(owner(rx, OWNER_UNCLASSIFIED).used, 0);
	assert_true(owner(rx, OWNER_UNCLASSIFIED).peak <= BURST_MAX);
}

/* ---- volumes ---- */

static enum volume_state reached;

static bool has_reached(uint64_t wanted)
{
	struct volume_event ev;

	while (worker_events(worker, &ev, 1))
		if (ev.type == VOLUME_EVENT_STATE)
			reached = ev.state;
	return reached == wanted;
}

static void volume_lives_on_its_worker_and_its_events_come_out(void **state)
{
	struct volume_config cfg = {.name = "disk",
		.servers = {.count = 1, .list[0].ip = {.family = 2, .addr = {10, 0, 0, 1}}},
		.connections = 1,
		.queue_depth = 1,
		.io_bytes_max = 4096};
	struct volume *v;

	assert_int_equal(nbd_uri_parse("nbd://10.0.0.1/disk", &cfg.uris[0], &err), 0);
	cfg.owner[0] = (uint16_t)reserve_owner_add(rx, "in-order", OWNER_NONE, 64);
	cfg.owner_ooo[0] = (uint16_t)reserve_owner_add(rx, "out-of-order", OWNER_NONE, 64);
	v = volume_create(&cfg, &err);
	assert_non_null(v);
	reached = VOLUME_IDLE;
	start();
	carried_out((struct worker_cmd){.type = WORKER_VOLUME_ADD, .a = v});
	assert_true(comes(has_reached, VOLUME_CONNECTING));
	assert_int_equal(leaves()[OPCODE_AT], 1); /* it asks for its server */
	carried_out((struct worker_cmd){.type = WORKER_VOLUME_STOP, .a = v, .n = 0});
	assert_true(comes(has_reached, VOLUME_GONE));
	assert_int_equal(volume_state_of(v), VOLUME_GONE);
	volume_destroy(v);
}

/* ---- life ---- */

static void worker_without_a_thread_can_be_ended(void **state)
{
	worker_join(worker);
	worker_destroy(worker);
	worker = NULL;
	worker_join(NULL);
	worker_destroy(NULL);
}

static void processor_that_is_not_there_is_refused_by_number(void **state)
{
	struct worker_config cfg = config();

	worker_destroy(worker);
	cfg.cpu = CPU_SETSIZE - 1;
	worker = worker_create(&cfg, &err);
	assert_true(worker_start(worker, &err) < 0);
	assert_non_null(strstr(err.text, "1023"));
}

static void full_command_ring_does_not_keep_a_worker_from_ending(void **state)
{
	const struct worker_cmd cmd = {.type = WORKER_FLOOR_SET, .n = 33};

	while (worker_post(worker, &cmd, NULL))
		;
	start();
	worker_join(worker);
	assert_int_equal(info(rx).floor, 33);
}

#define worker_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		worker_test(commands_are_carried_out_in_order),
		worker_test(full_command_ring_refuses_and_loses_nothing),
		worker_test(addresses_and_mtu_reach_the_stack),
		worker_test(faults_are_in_force_when_they_are_done),
		worker_test(question_for_our_address_is_answered),
		worker_test(frames_the_nic_does_not_take_are_sent_later),
		worker_test(frames_the_nic_never_took_are_given_back_at_the_end),
		worker_test(packets_are_counted_by_class_and_none_stays_unclassified),
		worker_test(volume_lives_on_its_worker_and_its_events_come_out),
		worker_test(worker_without_a_thread_can_be_ended),
		worker_test(processor_that_is_not_there_is_refused_by_number),
		worker_test(full_command_ring_does_not_keep_a_worker_from_ending),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
