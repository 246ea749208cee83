/*
 * engine.c - ports, budget and devices as one thing the control thread can operate
 *
 * Three objects, each of which knows those before it: the budget computes (budget.c), the ports
 * have what it computed and the workers (ports.c), the devices post to the workers and take their
 * shares of the budget (devices.c). Here they are made, polled in turn, and taken down. Started
 * once and for all is what needs memory; from then on the engine only moves volumes along.
 *
 * Everything here runs on the control thread.
 */
#include "daemon/engine/engine.h"

#include <errno.h>
#include <stdlib.h>
#include "dataplane/dma.h"

struct engine {
	struct config cfg;
	struct engine_facts facts;
	struct clock clock;
	struct budget *budget;
	struct ports *ports;
	struct devices *devices;
};

struct engine *engine_create(
	const struct config *cfg, const struct engine_facts *facts, struct error *err)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	e->cfg = *cfg;
	e->facts = *facts;
	dma_from_heap(facts->has_staging_in_heap);
	clock_init(&e->clock);
	e->budget = budget_create(&e->cfg);
	if (!e->budget)
		error_set(err, -ENOMEM, "out of memory");
	if (e->budget)
		e->ports = ports_create(&e->cfg, e->budget, &e->clock, err);
	if (e->ports)
		e->devices = devices_create(&e->cfg, e->budget, e->ports, &e->clock, err);
	if (e->devices)
		return e;
	engine_destroy(e);
	return NULL;
}

/* Ports first: their workers use the devices' volumes, their rings hold the devices' staging. */
void engine_destroy(struct engine *e)
{
	if (!e)
		return;
	ports_destroy(e->ports);
	devices_destroy(e->devices);
	budget_destroy(e->budget);
	free(e);
}

void engine_poll(struct engine *e)
{
	uint64_t now_us = clock_now_us(&e->clock);

	ports_poll(e->ports, now_us);
	devices_poll(e->devices, now_us);
	devices_watch(e->devices, now_us);
}

uint64_t engine_now_us(struct engine *e)
{
	return clock_now_us(&e->clock);
}

struct budget *engine_budget(const struct engine *e)
{
	return e->budget;
}

struct ports *engine_ports(const struct engine *e)
{
	return e->ports;
}

struct devices *engine_devices(const struct engine *e)
{
	return e->devices;
}

const struct engine_facts *engine_facts(const struct engine *e)
{
	return &e->facts;
}

/* ---- of the objects ---- */

bool engine_is_moving(const struct engine *e)
{
	return devices_are_moving(e->devices);
}

int engine_fd(const struct engine *e)
{
	return devices_fd(e->devices);
}

int engine_attach(struct engine *e, const struct engine_attach *how, struct error *err)
{
	return devices_attach(e->devices, how, err);
}

int engine_detach(struct engine *e, const char *name, enum engine_detach how, engine_done_fn *done,
	void *arg, struct error *err)
{
	return devices_detach(e->devices, name, how, done, arg, err);
}

void engine_detach_all(struct engine *e, bool force)
{
	devices_detach_all(e->devices, force);
}

void engine_leave_all(struct engine *e, bool all)
{
	devices_leave_all(e->devices, all);
}

bool engine_wants_restart(const struct engine *e)
{
	return devices_want_restart(e->devices);
}

void engine_restart_refused(struct engine *e)
{
	devices_restart_refused(e->devices);
}

unsigned engine_device_count(const struct engine *e)
{
	return devices_count(e->devices);
}

const struct config_volume *engine_config(const struct engine *e, const char *name)
{
	return devices_config(e->devices, name);
}

bool engine_has(const struct engine *e, const char *name)
{
	return devices_config(e->devices, name) != NULL;
}

const char *engine_name_at(const struct engine *e, unsigned idx)
{
	return devices_name_at(e->devices, idx);
}

const char *engine_name_of_device(const struct engine *e, int dev_id)
{
	return devices_name_of(e->devices, dev_id);
}

int engine_protect_set(struct engine *e, const struct config *cfg)
{
	return ports_protect_set(e->ports, cfg);
}
