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
 * Control thread; nothing here waits.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

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
