/*
 * device_info.c - what the channels of a device say of themselves, as one volume's word
 *
 * Counts add up; of states and of what was heard the worst, or the latest, counts. Each value is a
 * word a worker writes, and a turn old at most. Control thread.
 */
#include <stdio.h>
#include <string.h>
#include "daemon/engine/device_channel.h"

static void info_add(struct volume_info *sum, const struct volume_info *channel)
{
	/* The worst state is shown. */
	static const uint8_t rank[] = {[VOLUME_READY] = 1,
		[VOLUME_IDLE] = 0,
		[VOLUME_CONNECTING] = 2,
		[VOLUME_LOST] = 3,
		[VOLUME_FAILED] = 4,
		[VOLUME_DRAINING] = 5,
		[VOLUME_GONE] = 0};
	unsigned i;

	if (rank[channel->state] > rank[sum->state])
		sum->state = channel->state;
	if (!sum->error[0])
		memcpy(sum->error, channel->error, sizeof(sum->error));
	sum->conn_count += channel->conn_count;
	sum->conn_ready += channel->conn_ready;
	sum->conn_misdirected += channel->conn_misdirected;
	sum->heard_us = RTE_MAX(sum->heard_us, channel->heard_us);
	sum->in_flight += channel->in_flight;
	sum->in_flight_max += channel->in_flight_max;
	sum->read_credit_mbufs += channel->read_credit_mbufs;
	sum->read_credit_used_mbufs += channel->read_credit_used_mbufs;
	sum->credit_granted_mbufs =
		RTE_MAX(sum->credit_granted_mbufs, channel->credit_granted_mbufs);
	sum->credit_wanted_mbufs = RTE_MAX(sum->credit_wanted_mbufs, channel->credit_wanted_mbufs);
	sum->read_bytes_per_s += channel->read_bytes_per_s;
	sum->read_delay_us = RTE_MAX(sum->read_delay_us, channel->read_delay_us);
	for (i = 0; i < BLOCK_OP_COUNT; i++) {
		sum->ops[i] += channel->ops[i];
		sum->bytes[i] += channel->bytes[i];
		sum->errors[i] += channel->errors[i];
	}
	sum->reconnects += channel->reconnects;
	sum->replayed += channel->replayed;
	sum->timeouts += channel->timeouts;
	sum->protocol_errors += channel->protocol_errors;
	sum->dirty_reconnects += channel->dirty_reconnects;
	sum->unstable_bytes += channel->unstable_bytes;
	sum->unstable_lost += channel->unstable_lost;
	if (channel->oldest_us && (!sum->oldest_us || channel->oldest_us < sum->oldest_us))
		sum->oldest_us = channel->oldest_us;
	sum->events_lost += channel->events_lost;
}

void channels_info(const struct device *d, struct volume_info *out)
{
	struct volume_info channel;
	unsigned i;

	if (d->channel_count == 0) { /* its servers' names are still being resolved */
		*out = (struct volume_info){.state = VOLUME_CONNECTING};
		snprintf(out->name, sizeof(out->name), "%s", d->cfg.name);
		return;
	}
	volume_info(d->channels[0].volume, out);
	for (i = 1; i < d->channel_count; i++) {
		volume_info(d->channels[i].volume, &channel);
		info_add(out, &channel);
	}
}
