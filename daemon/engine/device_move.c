/*
 * device_move.c - a device that lost its network, and the port that would reach its server
 *
 * A device whose network is cut while it serves holds its requests. If another port reaches one of
 * its addresses, a server is asked there by a probe, and when that answers the daemon starts anew
 * (docs/adr/0021-another-port-by-takeover.md): it leaves every device with its requests, and its
 * next image takes them over, this one through the port that answers. Only so that the requests
 * move: they are the kernel's again, and no frame of the old port refers to them any more.
 *
 * Control thread; nothing here waits.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

#define LOOK_US	   1000000u
#define LOST_US	   15000000u /* without a connection, before another port is asked */
#define AGAIN_US   30000000u /* between two questions, of all devices together */
#define ASK_MS_MAX 10000

static void answered(void *arg, int rc, const char *path, const struct error *err)
{
	struct devices *ds = arg;

	(void)path;
	(void)err;
	ds->move.is_asking = false;
	ds->move.is_found = rc == 0;
	if (rc == 0)
		log_warn("volume %s: its server answers through another port: sluiced starts anew "
			 "and takes its devices over",
			ds->move.name);
}

/* Asks a server of @d's through another port, by a probe. */
static void ask(struct devices *ds, struct device *d, uint64_t now_us)
{
	struct config_volume probe = d->cfg;
	const struct engine_attach how = {.volume = &probe,
		.front = FRONT_NONE,
		.ports_without = 1u << d->port,
		.deadline_ms = ASK_MS_MAX,
		.done = answered,
		.arg = ds};
	char text[INET6_ADDRSTRLEN];
	struct error err = {""};
	int other;

	d->ports_tried = 0;
	other = device_other_port(ds, d, text);
	if (other < 0)
		return;
	if (!d->is_port_told)
		log_warn("volume %s: no server answers through port %s; asking %s through port %s",
			d->cfg.name, ports_cfg(ds->ports, d->port)->name, text,
			ports_cfg(ds->ports, (unsigned)other)->name);
	d->is_port_told = true;
	snprintf(probe.name, sizeof(probe.name), "%.40s@%.16s", d->cfg.name,
		ports_cfg(ds->ports, (unsigned)other)->name);
	memcpy(ds->move.name, d->cfg.name, sizeof(ds->move.name));
	ds->move.due_us = now_us + AGAIN_US;
	ds->move.is_asking = devices_attach(ds, &how, &err) == 0;
}

static void watch(struct devices *ds, struct device *d, uint64_t now_us)
{
	struct device_move *m = &ds->move;
	struct volume_info info;

	if (ports_count(ds->ports) == 1 || now_us < d->port_look_us || !device_ublk_may_stay(d))
		return;
	d->port_look_us = now_us + LOOK_US;
	m->is_found &= devices_config(ds, m->name) != NULL; /* it may have been detached since */
	channels_info(d, &info);
	if (info.conn_ready > 0) {
		m->is_found &= strcmp(m->name, d->cfg.name) != 0;
		d->port_lost_us = 0;
		d->is_port_told = false;
		return;
	}
	if (d->port_lost_us == 0)
		d->port_lost_us = now_us;
	if (now_us >= d->port_lost_us + LOST_US && now_us >= m->due_us && !m->is_asking &&
		!m->is_found)
		ask(ds, d, now_us);
}

void devices_watch(struct devices *ds, uint64_t now_us)
{
	for (unsigned i = 0; i < VOLUME_MAX; i++)
		if (ds->list[i].step == STEP_SERVE)
			watch(ds, &ds->list[i], now_us);
}

bool devices_want_restart(const struct devices *ds)
{
	for (unsigned i = 0; i < VOLUME_MAX; i++) {
		const struct device *d = &ds->list[i];

		if (d->step != STEP_FREE && (d->step != STEP_SERVE || !device_ublk_may_stay(d)))
			return false;
	}
	return ds->move.is_found && devices_config(ds, ds->move.name) != NULL;
}

void devices_restart_refused(struct devices *ds)
{
	ds->move.is_found = false;
	ds->move.due_us = clock_now_us(ds->clock) + AGAIN_US;
}
