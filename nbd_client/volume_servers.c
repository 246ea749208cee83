/*
 * volume_servers.c - where a volume may connect to
 *
 * A volume has a few URIs, and each host of them one or several addresses. They are one flat list,
 * in the order in which they are tried; the volume goes to the next when no connection is left at
 * the present one. The control thread makes the list when the volume is attached, and again
 * whenever the volume has lost its server for a while: a server may have moved behind its name.
 * Then it is replaced here, between two turns.
 *
 * The list is replaced only while no connection serves, so a volume never changes its server
 * because a name server said so. A connection attempt to an address that is still in the list goes
 * on, and the place of that address is where the volume is.
 *
 * Worker thread.
 */
#include "nbd_client/volume_priv.h"
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

const struct volume_server *volume_server_now(const struct volume *v)
{
	return &v->cfg.servers.list[v->server_idx];
}

const struct nbd_uri *volume_uri_now(const struct volume *v)
{
	return &v->cfg.uris[volume_server_now(v)->uri];
}

void volume_server_next(struct volume *v)
{
	v->server_idx = (v->server_idx + 1) % v->cfg.servers.count;
}

void volume_where(const struct volume *v, char out[VOLUME_WHERE_BYTES])
{
	const struct volume_server *server = volume_server_now(v);
	const struct nbd_uri *uri = volume_uri_now(v);
	char text[INET6_ADDRSTRLEN] = "";
	int len = snprintf(out, VOLUME_WHERE_BYTES, strchr(uri->host, ':') ? "[%s]:%u" : "%s:%u",
		uri->host, uri->port);

	inet_ntop(server->ip.family, server->ip.addr, text, sizeof(text));
	if (text[0] && strcmp(text, uri->host) != 0 && !strchr(uri->host, ':'))
		snprintf(out + len, VOLUME_WHERE_BYTES - (size_t)len, " (%s)", text);
}

static bool is_same(const struct volume_server *a, const struct volume_server *b)
{
	return a->uri == b->uri && a->ip.family == b->ip.family &&
	       memcmp(a->ip.addr, b->ip.addr, sizeof(a->ip.addr)) == 0;
}

/* Its place in @servers, or servers->count. */
static unsigned place_find(const struct volume_servers *servers, const struct volume_server *wanted)
{
	unsigned i = 0;

	while (i < servers->count && !is_same(&servers->list[i], wanted))
		i++;
	return i;
}

static bool is_same_list(const struct volume_servers *a, const struct volume_servers *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		if (!is_same(&a->list[i], &b->list[i]))
			return false;
	return true;
}

void volume_servers_set(struct volume *v, const struct volume_servers *servers)
{
	unsigned place;

	assert(servers->count > 0 && servers->count <= VOLUME_SERVER_MAX);
	if (v->conn_ready > 0 || is_same_list(&v->cfg.servers, servers) ||
		!volume_group_may_move(v))
		return;
	place = place_find(servers, volume_server_now(v));
	for (unsigned i = 0; i < v->cfg.connections && place == servers->count; i++)
		volume_conn_abort(&v->conns[i]);
	v->cfg.servers = *servers;
	v->server_idx = place < servers->count ? place : 0;
	v->tried_count = 0;
	volume_group_servers_set(v);
	if (place ==
		servers->count) /* new addresses do not wait for the pause after the old ones */
		v->conns[0].retry_us = v->now_us;
}
