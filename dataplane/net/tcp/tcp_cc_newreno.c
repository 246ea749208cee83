/*
 * tcp_cc_newreno.c - the congestion control of RFC 5681
 *
 * The plain one: doubling below ssthresh, a segment a window above it, half of what was in flight
 * on loss. It is what CUBIC is measured against, and what DCTCP is without marks. What happens
 * within fast recovery (RFC 6582, RFC 6675) is the connection's matter.
 */
#include "dataplane/net/tcp/tcp_cc.h"

static void init(struct tcp_cc *cc)
{
	cc->u.newreno.acked_bytes = 0;
}

static void on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	tcp_cc_reno_ack(cc, &cc->u.newreno, ack->acked_bytes);
}

static uint32_t reduce(struct tcp_cc *cc, uint32_t flight_bytes, bool is_ecn)
{
	return tcp_cc_half(cc, flight_bytes);
}

/* Progress towards the next segment was made in another window. */
static void on_epoch_end(struct tcp_cc *cc)
{
	cc->u.newreno.acked_bytes = 0;
}

const struct tcp_cc_ops tcp_cc_newreno = {
	.name = "newreno",
	.init = init,
	.on_ack = on_ack,
	.reduce = reduce,
	.on_rto = on_epoch_end,
	.on_epoch_end = on_epoch_end,
};
