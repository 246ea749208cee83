/*
 * device_make.c - what a volume needs before a worker can have it
 *
 * What all its channels have in common and the addresses of its servers (device_servers.c); then
 * its channels, each with its share of a worker
 * (device_channel.c). And the same list backwards.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

static void plan_fill(const struct device *d, struct volume_config *vc)
{
	vc->queue_depth = d->is_recovery ? d->state.queue_depth : d->cfg.queue_depth;
	vc->io_bytes_max = d->cfg.io_bytes_max;
	vc->on_dead = d->cfg.on_dead;
	vc->unstable = d->cfg.unstable;
	vc->dead_us = d->cfg.dead_ms * 1000ull;
	vc->request_us = d->cfg.request_ms * 1000ull;
	vc->dead_peer_us = d->cfg.dead_peer_ms * 1000ull;
	vc->connect_us = d->cfg.connect_ms * 1000ull;
	vc->read_only = d->cfg.read_only;
	vc->probe_only = d->front_kind == FRONT_NONE;
	snprintf(vc->cc, sizeof(vc->cc), "%s", d->cfg.cc);
	vc->quota_mbufs = d->quota;
	vc->quota_least_mbufs = d->quota_least;
	vc->mbuf_payload_min = PAYLOAD_MIN;
}

int device_plan(struct devices *ds, struct device *d, uint64_t now_us, struct error *err)
{
	d->plan = calloc(1, sizeof(*d->plan));
	if (!d->plan)
		return error_set(err, -ENOMEM, "out of memory");
	plan_fill(d, d->plan);
	return device_names_begin(ds, d, now_us, err);
}

int device_make(struct devices *ds, struct device *d, struct error *err)
{
	int rc = device_servers_choose(ds, d, err);

	return rc ? rc : channels_make(ds, d, err);
}

void device_unmake(struct devices *ds, struct device *d)
{
	while (d->channel_count > 0)
		channel_free(ds, d, d->channel_count - 1);
	volume_group_destroy(d->group);
	d->group = NULL;
	d->spread[0] = '\0';
}

void device_free(struct devices *ds, struct device *d)
{
	device_names_end(ds, d);
	device_unmake(ds, d);
	free(d->plan);
	memset(d, 0, sizeof(*d));
}
