/*
 * tcp_id.c - what a blind attacker must not guess: sequence numbers, ports, timestamps
 *
 * Each is a keyed hash of the connection's addresses and ports (RFC 6528 3, RFC 6056 3.3.3 with
 * the random steps of 3.3.5, RFC 7323 5.4), under the secret the control thread gave at start. The
 * first 16 bytes of the secret key the sequence numbers, the other 16 the rest, so that one never
 * says anything about the other.
 */
#include "dataplane/net/tcp/tcp_conn.h"

#include <string.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/siphash.h"

#define PORT_FIRST    49152u /* RFC 6335 6: the dynamic ports */
#define PORT_COUNT    (65536u - PORT_FIRST)
#define PORT_STEP_MAX 256u /* RFC 6056 3.3.5: who sees one port does not know the next */

struct tuple {
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port;
	uint8_t family, use;
};

static struct tuple tuple_of(
	const struct ip_path *path, uint16_t local_port, uint16_t remote_port, uint8_t use)
{
	struct tuple t;

	memset(&t, 0, sizeof(t));
	memcpy(t.local, path->local.addr, sizeof(t.local));
	memcpy(t.remote, path->remote.addr, sizeof(t.remote));
	t.local_port = local_port;
	t.remote_port = remote_port;
	t.family = path->remote.family;
	t.use = use;
	return t;
}

uint32_t tcp_id_iss(const struct tcp_conn *conn, uint64_t now_us)
{
	struct tuple t = tuple_of(&conn->path, conn->local_port, conn->peer_port, 0);

	/* RFC 6528 3: ISN = M + F(...), M ticks every four microseconds. */
	return (uint32_t)(now_us / 4) + (uint32_t)siphash(conn->net->cfg.secret, &t, sizeof(t));
}

uint32_t tcp_id_ts_offset(const struct tcp_conn *conn)
{
	struct tuple t = tuple_of(&conn->path, conn->local_port, conn->peer_port, 1);

	return (uint32_t)siphash(conn->net->cfg.secret + 16, &t, sizeof(t));
}

/* Where the port has several workers, each has ports of its own, which tell whose a packet is. */
static uint16_t port_at(const struct tcp_table *t, uint32_t i)
{
	const struct net_config *cfg = &t->net->cfg;

	if (cfg->local_port_count > 0)
		return cfg->local_ports[i % cfg->local_port_count];
	return (uint16_t)(PORT_FIRST + i % PORT_COUNT);
}

uint16_t tcp_id_port(struct tcp_table *t, const struct ip_path *path, uint16_t peer_port)
{
	struct tuple id = tuple_of(path, 0, peer_port, 2);
	uint32_t offset = (uint32_t)siphash(t->net->cfg.secret + 16, &id, sizeof(id));

	t->port_next += (uint32_t)(net_random(t->net) % PORT_STEP_MAX);
	/* One more try than there are connections always finds one that is free. */
	for (uint32_t i = 0; i <= t->conn_max; i++) {
		uint16_t port = port_at(t, offset + t->port_next++);

		if (!tcp_table_lookup(t, &path->local, port, &path->remote, peer_port))
			return port;
	}
	return 0;
}
