/*
 * device_port.c - which port a device goes by
 *
 * All connections of a device are on the workers of one port, for the queues of its block device
 * are fetched by the threads of these workers, and only they may answer. So the port is chosen
 * while the device is attached or taken over. The ports are tried in the order of the addresses
 * they reach: when no server serves through one, its channels are sent away, and the next gets the
 * same time. Where a port reaches a server through its gateway it is tried for addresses of another
 * port's network too.
 *
 * A device whose network is cut while it serves waits for it, with its requests held; the log names
 * the port that reaches another of its addresses. The next daemon takes the device over, and goes
 * there.
 *
 * Control thread; nothing here waits.
 */
#include <arpa/inet.h>
#include <string.h>
#include "config/log.h"
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

#define LOOK_US	1000000u
#define TELL_US 15000000u /* without a connection, before another port is named */

bool device_port_next(struct devices *ds, struct device *d)
{
	char text[INET6_ADDRSTRLEN];
	struct volume_info info;
	int next;

	volume_info(d->channels[0].volume, &info);
	if (!d->channels[0].is_failed) /* else it said why itself */
		error_set(&d->error, 0,
			"%s does not answer%s%s; start it, or check that port %s can reach it",
			info.server[0] ? info.server : d->cfg.uris[0], info.error[0] ? ": " : "",
			info.error, ports_cfg(ds->ports, d->port)->name);
	next = device_other_port(ds, d, text);
	if (next < 0)
		return false;
	log_warn("volume %s: %s; trying %s through port %s", d->cfg.name, d->error.text, text,
		ports_cfg(ds->ports, (unsigned)next)->name);
	d->error.text[0] = '\0';
	d->ports_tried |= 1u << d->port;
	channels_post(ds, d, (struct worker_cmd){.type = WORKER_VOLUME_STOP, .n = 0});
	return true;
}

void device_port_watch(const struct devices *ds, struct device *d, uint64_t now_us)
{
	char text[INET6_ADDRSTRLEN];
	struct volume_info info;
	int other;

	if (!d->ublk || ports_count(ds->ports) == 1 || now_us < d->port_look_us)
		return;
	d->port_look_us = now_us + LOOK_US;
	channels_info(d, &info);
	if (info.conn_ready > 0) {
		d->port_lost_us = 0;
		return;
	}
	if (d->port_lost_us == 0)
		d->port_lost_us = now_us;
	if (d->port_lost_us == UINT64_MAX || now_us < d->port_lost_us + TELL_US)
		return;
	d->port_lost_us = UINT64_MAX; /* until it has a connection again, that is said */
	d->ports_tried = 0;
	other = device_other_port(ds, d, text);
	if (other >= 0)
		log_warn("volume %s: no server answers through port %s, and port %s reaches %s: "
			 "restart sluiced, and the device is taken over through that port",
			d->cfg.name, ports_cfg(ds->ports, d->port)->name,
			ports_cfg(ds->ports, (unsigned)other)->name, text);
}
