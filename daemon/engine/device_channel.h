/*
 * device_channel.h - a device's share of each worker that serves it
 */
#ifndef DAEMON_ENGINE_DEVICE_CHANNEL_H
#define DAEMON_ENGINE_DEVICE_CHANNEL_H

#include "daemon/engine/device_impl.h"

/*
 * Make: the first channel. Spread: the others, once the first is READY; begin answers whether there
 * are any to wait for, done whether that is over. Control thread, as all here.
 */
int channels_make(struct devices *ds, struct device *d, struct error *err);
bool channels_spread_begin(
	struct devices *ds, struct device *d, const struct block_limits *limits, uint64_t now_us);
bool channels_spread_done(struct devices *ds, struct device *d, uint64_t now_us);
void channel_free(struct devices *ds, struct device *d, unsigned idx);
/*
 * Fills in the channel's volume and posts @cmd to its worker, at once or, where the command ring is
 * full, by a later channels_poll(), which also looks at the states of the volumes. Done says that
 * all that was posted has been carried out.
 */
void channel_post(
	struct devices *ds, const struct device *d, struct channel *ch, struct worker_cmd cmd);
void channels_post(struct devices *ds, struct device *d, struct worker_cmd cmd);
void channels_poll(struct devices *ds, struct device *d);
bool channels_done(const struct devices *ds, const struct device *d);
bool channels_gone(const struct device *d);
/* Logs what a worker says of a channel; decisions rest on the state that channels_poll() reads. */
void channels_event(struct devices *ds, const struct volume_event *ev);
/* After a change of the channel's quota: what its owners may hold. */
void channel_limits(const struct devices *ds, const struct device *d, const struct channel *ch);
/* FRONT_BENCH: makes the load of channel @idx. 0, or -EINVAL with d->error. */
int channel_bench(struct device *d, unsigned idx, const struct block_limits *limits);

/* device_info.c: their sum. */
void channels_info(const struct device *d, struct volume_info *out);

/* device_credit.c: credits follow what is measured, and the sum follows them. */
void devices_credit_poll(struct devices *ds, uint64_t now_us);

#endif
