/*
 * device_linger.c - staging of detached devices that a TX ring still refers to
 *
 * Some drivers look at finished transmissions only when they send again: a buffer may be referred
 * to long after its last byte was acknowledged. It is put aside, so that the detach need not wait,
 * and freed when no mbuf points into it any more. There are places for twice what all devices have;
 * while all are taken no detach ends.
 *
 * Control thread only.
 */
#include "daemon/engine/device_steps.h"
#include "dataplane/dma.h"

bool devices_linger_has_room(const struct devices *ds)
{
	unsigned i;

	for (i = 0; i < LINGER_MAX; i++)
		if (!ds->lingering[i])
			return true;
	return false;
}

void devices_linger_poll(struct devices *ds, bool all)
{
	unsigned i;

	for (i = 0; i < LINGER_MAX; i++) {
		if (!ds->lingering[i] || (!all && stream_buf_busy(ds->lingering[i])))
			continue;
		dma_buf_destroy(ds->lingering[i]);
		ds->lingering[i] = NULL;
	}
}

void devices_buf_put_aside(struct devices *ds, struct stream_buf *buf)
{
	unsigned i;

	for (i = 0; buf && i < LINGER_MAX; i++)
		if (!ds->lingering[i]) {
			ds->lingering[i] = buf;
			break;
		}
	devices_linger_poll(ds, false);
}
