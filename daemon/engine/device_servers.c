/*
 * device_servers.c - a device's servers: names to addresses, addresses to a port
 *
 * Each URI's host is an address, or a name that the resolver looks up while the control thread goes
 * on. All addresses of all names that the device's port reaches become one list, in the order of
 * the URIs, and the volume tries them in turn. What no port reaches, or what the name server does
 * not know, is left out with a warning as long as something remains: a server with an IPv6 address
 * is of use to a port that has IPv4 only, and a second server whose name is unknown today does not
 * keep the first from serving. The port is that of the first address some port reaches that was not
 * tried in vain (device_port.c); all connections of a device are on the workers of one port at a
 * time.
 *
 * While a device that serves has no connection at all, its names are looked up again, with growing
 * pauses, and the first channel's worker gets the new list: the server may have moved behind its
 * name. Where the name server is silent the addresses of the last answer stay.
 *
 * Control thread; nothing here waits. A device that is attached waits in STEP_RESOLVE, at most
 * NAMES_MS_MAX, and GRACE_MS once one of its hosts has an address.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

#define NAMES_MS_MAX 15000
#define GRACE_MS     2000
#define LOOK_US	     200000u  /* between two looks whether a device still has a connection */
#define AGAIN_US_MIN 2000000u /* between two look-ups for a device without one */
#define AGAIN_US_MAX 30000000u

/* ---- ports ---- */

/*
 * The port whose subnet holds @ip, else the first with a gateway for its family, else -1; of those
 * that are not in the bits of @without.
 */
static int port_choose(const struct devices *ds, const struct net_ip *ip, uint32_t without)
{
	unsigned best = 0, i;
	int port = -1;

	for (i = 0; i < ports_count(ds->ports); i++) {
		unsigned how = ports_reach(ds->ports, i, ip);

		if (!(without & 1u << i) && how > best) {
			best = how;
			port = (int)i;
		}
	}
	return port;
}

/* ---- names ---- */

static void answer_keep(struct device *d, unsigned uri, const struct resolver_answer *answer)
{
	struct device_names *n = &d->names;

	n->ticket[uri] = 0;
	n->why[uri] = answer->error;
	if (answer->ips.count)
		n->ips[uri] = answer->ips;
	if (answer->is_remembered)
		log_warn("volume %s: %s: %s; going on with its last good address", d->cfg.name,
			d->plan->uris[uri].host, answer->error.text);
}

static void names_ask(struct devices *ds, struct device *d, uint64_t now_us)
{
	struct device_names *n = &d->names;
	struct net_ip ip;

	n->since_us = now_us;
	for (unsigned i = 0; i < d->cfg.uri_count; i++) {
		const char *host = d->plan->uris[i].host;

		n->why[i].text[0] = '\0';
		if (resolver_numeric(host, &ip) == 0) {
			n->ips[i] = (struct resolver_ips){.count = 1, .ip = {ip}};
			continue;
		}
		n->has_name = true;
		n->ticket[i] = resolver_ask(ds->resolver, host);
		if (n->ticket[i] == 0)
			error_set(&n->why[i], 0, "too many names are being looked up");
	}
}

static void names_give_up(struct devices *ds, struct device *d, const char *why)
{
	struct resolver_answer answer;

	for (unsigned i = 0; i < d->cfg.uri_count; i++) {
		if (d->names.ticket[i] == 0)
			continue;
		resolver_give_up(ds->resolver, d->names.ticket[i], why, &answer);
		answer_keep(d, i, &answer);
	}
}

int device_names_begin(struct devices *ds, struct device *d, uint64_t now_us, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < d->cfg.uri_count; i++)
		rc = nbd_uri_parse(d->cfg.uris[i], &d->plan->uris[i], err);
	if (rc == 0)
		names_ask(ds, d, now_us);
	return rc;
}

bool device_names_done(struct devices *ds, struct device *d, uint64_t now_us)
{
	struct device_names *n = &d->names;
	struct resolver_answer answer;
	uint64_t ms = NAMES_MS_MAX;
	bool is_waiting = false;

	for (unsigned i = 0; i < d->cfg.uri_count; i++) {
		if (n->ticket[i] && resolver_take(ds->resolver, n->ticket[i], &answer))
			answer_keep(d, i, &answer);
		is_waiting |= n->ticket[i] != 0;
		if (n->ticket[i] == 0 && n->ips[i].count)
			ms = GRACE_MS;
	}
	if (is_waiting && now_us < n->since_us + ms * 1000)
		return false;
	names_give_up(ds, d, "the name server does not answer");
	return true;
}

void device_names_end(struct devices *ds, struct device *d)
{
	struct resolver_answer answer;

	for (unsigned i = 0; i < VOLUME_URI_MAX; i++) {
		if (d->names.ticket[i])
			resolver_give_up(ds->resolver, d->names.ticket[i], "", &answer);
		d->names.ticket[i] = 0;
	}
}

/* ---- addresses ---- */

static void left_out(const struct device *d, unsigned uri, const struct net_ip *ip, const char *why)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(ip->family, ip->addr, text, sizeof(text));
	log_warn("volume %s: %s (%s) is left out: %s", d->cfg.name, d->plan->uris[uri].host, text,
		why);
}

static const char *why_not(
	const struct devices *ds, unsigned port, const struct net_ip *ip, unsigned count)
{
	if (port_choose(ds, ip, 0) < 0)
		return "no port reaches it: give a port an address in its network, or a gateway";
	if (ports_reach(ds->ports, port, ip) == 0)
		return "another port reaches it, and a volume uses one port at a time";
	return count == VOLUME_SERVER_MAX ? "there are too many addresses" : NULL;
}

/* What @port reaches of all addresses. @is_told: what is left out is logged. */
static void list_make(const struct devices *ds, const struct device *d, unsigned port, bool is_told,
	struct volume_servers *out)
{
	const struct device_names *n = &d->names;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < d->cfg.uri_count; i++) {
		if (is_told && n->ips[i].count == 0)
			log_warn("volume %s: %s is left out: %s", d->cfg.name,
				d->plan->uris[i].host, n->why[i].text);
		for (unsigned k = 0; k < n->ips[i].count; k++) {
			const char *why = why_not(ds, port, &n->ips[i].ip[k], out->count);

			if (!why)
				out->list[out->count++] = (struct volume_server){
					.ip = n->ips[i].ip[k], .uri = (uint8_t)i};
			else if (is_told)
				left_out(d, i, &n->ips[i].ip[k], why);
		}
	}
}

int device_servers_choose(struct devices *ds, struct device *d, struct error *err)
{
	const struct device_names *n = &d->names;
	int port = -1, unknown = -1;

	for (unsigned i = 0; i < d->cfg.uri_count; i++) {
		if (n->ips[i].count == 0 && unknown < 0)
			unknown = (int)i;
		for (unsigned k = 0; port < 0 && k < n->ips[i].count; k++)
			port = port_choose(ds, &n->ips[i].ip[k], d->ports_tried);
	}
	if (port < 0 && unknown >= 0)
		return error_set(err, -EHOSTUNREACH,
			"%s: %.300s; check the name or write the address",
			d->plan->uris[unknown].host, n->why[unknown].text);
	if (port < 0)
		return error_set(err, -ENETUNREACH,
			"no port reaches %s: give a port an address in its network, or a gateway",
			d->plan->uris[0].host);
	d->port = (unsigned)port;
	list_make(ds, d, d->port, true, &d->plan->servers);
	return 0;
}

int device_other_port(const struct devices *ds, const struct device *d, char text[INET6_ADDRSTRLEN])
{
	uint32_t without = d->ports_tried | 1u << d->port;
	const struct device_names *n = &d->names;

	for (unsigned i = 0; i < d->cfg.uri_count; i++)
		for (unsigned k = 0; k < n->ips[i].count; k++) {
			const struct net_ip *ip = &n->ips[i].ip[k];
			int port = port_choose(ds, ip, without);

			if (port < 0)
				continue;
			inet_ntop(ip->family, ip->addr, text, INET6_ADDRSTRLEN);
			return port;
		}
	return -1;
}

/* ---- while it serves ---- */

static bool has_connection(const struct device *d)
{
	struct volume_info info;

	channels_info(d, &info);
	return info.conn_ready > 0;
}

static void list_log(const struct device *d, const struct volume_servers *servers)
{
	char text[INET6_ADDRSTRLEN], line[256] = "";
	size_t at = 0;

	for (unsigned i = 0; i < servers->count && at < sizeof(line); i++) {
		inet_ntop(servers->list[i].ip.family, servers->list[i].ip.addr, text, sizeof(text));
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%s", i ? ", " : "", text);
	}
	log_info("volume %s: its names now have the addresses %s", d->cfg.name, line);
}

static void list_post(struct devices *ds, struct device *d)
{
	struct device_names *n = &d->names;
	struct volume_servers now;

	list_make(ds, d, d->port, false, &now);
	if (now.count == 0 || !channels_done(ds, d))
		return; /* the worker may still be reading n->servers */
	if (memcmp(&now, n->servers.count ? &n->servers : &d->plan->servers, sizeof(now)) != 0)
		list_log(d, &now);
	n->servers = now;
	/* Also if it is the same: the worker did not take the last one if it was connected at that
	 * moment. */
	channel_post(ds, d, &d->channels[0],
		(struct worker_cmd){.type = WORKER_SERVERS_SET, .b = &n->servers});
}

void device_servers_follow(struct devices *ds, struct device *d, uint64_t now_us)
{
	struct device_names *n = &d->names;

	if (!n->has_name || (!n->is_asking && now_us < n->look_us))
		return;
	n->look_us = now_us + LOOK_US;
	if (has_connection(d)) {
		device_names_end(ds, d);
		n->is_asking = false;
		n->again_us = 0;
		n->pause_us = AGAIN_US_MIN;
		return;
	}
	if (!n->is_asking) {
		if (now_us < n->again_us)
			return;
		names_ask(ds, d, now_us);
		n->is_asking = true;
	}
	if (!device_names_done(ds, d, now_us))
		return;
	n->is_asking = false;
	n->again_us = now_us + n->pause_us;
	n->pause_us = n->pause_us * 2 < AGAIN_US_MAX ? n->pause_us * 2 : AGAIN_US_MAX;
	list_post(ds, d);
}
