/*
 * fake_port.c - NICs without a NIC: facts, link and refusals as the test sets them
 *
 * What is made here must be given back in the order the product promises: queues before the
 * port starts, a port stopped before it is closed, an exception port's threads ended before it
 * is destroyed.
 */
#include "tests/unit/daemon/fake_port.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_memory.h>
#include "config/limits.h"
#include "mempool_reserve/reserve.h"

struct port {
	struct port_facts facts;
	unsigned queues_ready;
	bool is_started;
};

struct exception_queue {
	struct reserve *pool;
};

struct exception {
	struct exception_queue queues[WORKER_MAX];
	unsigned queue_count;
	bool is_running;
};

struct fake_nic fake_nic;
unsigned fake_ports_alive, fake_ports_started, fake_multicasts, fake_exceptions_alive,
	fake_exceptions_running;
struct exception_config fake_exception_last;
bool fake_exception_is_rationed;

void fake_port_reset(void)
{
	assert(fake_ports_alive == 0 && fake_exceptions_alive == 0);
	fake_nic = (struct fake_nic){.facts = {.driver = "fake",
					     .mac = {2, 0, 0, 0, 0, 1},
					     .mtu = 1500,
					     .rx_ring = 64,
					     .tx_ring = 64,
					     .ring_mbufs = 64,
					     .burst_mbufs = BURST_MAX,
					     .offload = {.tx_seg_max = TX_CHAIN_MAX},
					     .is_full_guarantee = true}};
	fake_multicasts = 0;
	fake_exception_is_rationed = false;
}

/* ---- port.h ---- */

int port_open(const struct config_port *cfg, unsigned idx, uint16_t queues, struct port **out,
	struct error *err)
{
	struct port *p;

	if (fake_nic.open_rc)
		return error_set(err, fake_nic.open_rc, "port %s: not found", cfg->name);
	p = calloc(1, sizeof(*p));
	p->facts = fake_nic.facts;
	p->facts.id = (uint16_t)idx;
	p->facts.queues = queues;
	fake_ports_alive++;
	*out = p;
	return 0;
}

int port_queue_setup(struct port *p, uint16_t q, struct reserve *rx, struct error *err)
{
	assert(q < p->facts.queues && !p->is_started && rx);
	p->queues_ready++;
	return fake_nic.queue_rc ? error_set(err, fake_nic.queue_rc, "RX queue %u", q) : 0;
}

int port_start(struct port *p, struct error *err)
{
	if (fake_nic.start_rc)
		return error_set(err, fake_nic.start_rc, "port does not start");
	assert(p->queues_ready == p->facts.queues);
	p->is_started = true;
	fake_ports_started++;
	return 0;
}

void port_stop(struct port *p)
{
	fake_ports_started -= p && p->is_started;
	if (p)
		p->is_started = false;
}

void port_close(struct port *p)
{
	if (!p)
		return;
	port_stop(p);
	fake_ports_alive--;
	free(p);
}

const struct port_facts *port_facts(const struct port *p)
{
	return &p->facts;
}

void port_facts_plan(const struct config_port *cfg, struct port_facts *out)
{
	*out = fake_nic.facts;
	out->queues = cfg->queues ? cfg->queues : 1;
}

bool port_link_up(const struct port *p)
{
	return !fake_nic.is_link_down;
}

void port_multicast_all(struct port *p)
{
	fake_multicasts++;
}

void port_stats(const struct port *p, struct port_stats *out)
{
	*out = fake_nic.stats;
}

/* ---- exception.h ---- */

void exception_pool_shape(const struct exception_config *cfg, struct reserve_config *pool)
{
	*pool = (struct reserve_config){
		.total_count = 128, .data_bytes = 2048, .socket = SOCKET_ID_ANY};
}

struct exception *exception_create(const struct exception_config *cfg, struct error *err)
{
	struct reserve_config shape;
	struct exception *x;
	char name[32];

	if (fake_nic.exception_rc) {
		error_set(err, fake_nic.exception_rc, "/dev/net/tun is not there");
		return NULL;
	}
	x = calloc(1, sizeof(*x));
	fake_exception_last = *cfg;
	x->queue_count = cfg->queue_count;
	exception_pool_shape(cfg, &shape);
	for (unsigned q = 0; q < cfg->queue_count; q++) {
		snprintf(name, sizeof(name), "exc-%u-%u", cfg->port_idx, q);
		shape.name = name;
		x->queues[q].pool = reserve_create(&shape);
		reserve_arm(x->queues[q].pool);
	}
	fake_exceptions_alive++;
	return x;
}

int exception_start(struct exception *x, struct error *err)
{
	if (fake_nic.exception_start_rc)
		return error_set(err, fake_nic.exception_start_rc, "thread");
	x->is_running = true;
	fake_exceptions_running++;
	return 0;
}

void exception_stop(struct exception *x)
{
	fake_exceptions_running -= x && x->is_running;
	if (x)
		x->is_running = false;
}

void exception_destroy(struct exception *x)
{
	if (!x)
		return;
	assert(!x->is_running);
	for (unsigned q = 0; q < x->queue_count; q++)
		reserve_destroy(x->queues[q].pool);
	fake_exceptions_alive--;
	free(x);
}

void exception_ration(struct exception *x, bool on)
{
	fake_exception_is_rationed = on;
}

struct exception_queue *exception_queue(struct exception *x, unsigned idx)
{
	return &x->queues[idx];
}

struct reserve *exception_pool(const struct exception_queue *q)
{
	return q->pool;
}
