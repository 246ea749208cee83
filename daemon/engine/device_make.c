/*
 * device_make.c - what a volume needs before a worker can have it
 *
 * What all its channels have in common and the addresses of its servers (device_servers.c); local
 * TCP ports taken from the kernel; then its channels, each with its share of a worker
 * (device_channel.c). And the same list backwards.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "config/log.h"
#include "dataplane/dma.h"
#include "daemon/engine/engine_impl.h"

/* ---- local TCP ports ---- */

/*
 * Takes a TCP port from the kernel by binding a socket to it, so that both stacks never share one.
 * Never listened on. Out: the socket, with *port set; -1 where the kernel has none to give.
 */
int engine_local_port_take(uint16_t *port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(sa);
	int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
		getsockname(fd, (struct sockaddr *)&sa, &len)) {
		close(fd);
		return -1;
	}
	*port = ntohs(sa.sin6_port);
	return fd;
}

/* ---- making the volume ---- */

static void plan_fill(const struct device *d, struct volume_config *vc)
{
	vc->queue_depth = d->is_recovery ? d->state.queue_depth : d->cfg.queue_depth;
	vc->io_bytes_max = d->cfg.io_bytes_max;
	vc->on_dead = d->cfg.on_dead;
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

int device_plan(struct engine *e, struct device *d, uint64_t now_us, struct error *err)
{
	d->plan = calloc(1, sizeof(*d->plan));
	if (!d->plan)
		return error_set(err, -ENOMEM, "out of memory");
	plan_fill(d, d->plan);
	return engine_names_begin(e, d, now_us, err);
}

int device_make(struct engine *e, struct device *d, struct error *err)
{
	int rc = engine_servers_choose(e, d, err);

	return rc ? rc : channels_make(e, d, err);
}

bool engine_linger_has_room(const struct engine *e)
{
	unsigned i;

	for (i = 0; i < LINGER_MAX; i++)
		if (!e->lingering[i])
			return true;
	return false;
}

void engine_linger_poll(struct engine *e, bool all)
{
	unsigned i;

	for (i = 0; i < LINGER_MAX; i++) {
		if (!e->lingering[i] || (!all && stream_buf_busy(e->lingering[i])))
			continue;
		dma_buf_destroy(e->lingering[i]);
		e->lingering[i] = NULL;
	}
}

/* Some drivers look at finished transmissions only when they send again: a buffer may be referred
 * to long after its last byte was acknowledged. It is put aside, so that the detach need not wait.
 */
void engine_buf_put_aside(struct engine *e, struct stream_buf *buf)
{
	unsigned i;

	for (i = 0; buf && i < LINGER_MAX; i++)
		if (!e->lingering[i]) {
			e->lingering[i] = buf;
			break;
		}
	engine_linger_poll(e, false);
}

void device_free(struct engine *e, struct device *d)
{
	engine_names_end(e, d);
	while (d->channel_count > 0)
		channel_free(e, d, d->channel_count - 1);
	volume_group_destroy(d->group);
	free(d->plan);
	memset(d, 0, sizeof(*d));
}
