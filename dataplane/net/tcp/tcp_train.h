/*
 * tcp_train.h - the full segments of new data behind one that has just left
 */
#ifndef DATAPLANE_NET_TCP_TCP_TRAIN_H
#define DATAPLANE_NET_TCP_TCP_TRAIN_H

#include <stdint.h>

struct rte_mbuf;
struct tcp_conn;

/*
 * After tcp_output() sent @first, a finished frame that is not sent yet: up to @max more of new
 * data, as long as @first, into @out. 0: the next packet is tcp_output()'s to build. Out: their
 * number. Worker thread.
 */
unsigned tcp_train(struct tcp_conn *conn, const struct rte_mbuf *first, struct rte_mbuf **out,
	unsigned max, uint64_t now_us);

#endif
