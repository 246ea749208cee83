/*
 * host_guard.c - keeps the kernel's TCP away from ports that are ours, on an interface both hear
 *
 * Under af_packet the kernel receives what we receive. Where it has the port's address too, its
 * TCP has no record of our connections and answers their packets with a reset. The ports are ours
 * already (a kernel socket is bound to each, so no program can use one); what comes in for them is
 * dropped in a netfilter table of our own, at the interface's ingress hook. There a packet socket
 * has its copy already, and neither connection tracking nor routing has seen the packet.
 *
 * A prerouting hook does not do: with br_netfilter (Docker loads it) frames pass it for the bridge
 * before the bridge receives them, so on a bridge it dropped our packets before the packet socket
 * saw them, and other machines' frames that only pass through the bridge.
 *
 * The table has the owner flag (Linux 5.12): no other process can change it, and the kernel
 * removes it when the netlink socket in libnftables' context is closed, by us or by the end of the
 * process, whichever way that comes. Nothing is left behind after a kill -9.
 *
 * Control thread. nft(8), libnftables(3).
 */
#include <errno.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config/host/host_guard.h"

#define RULES_BYTES 16384
#define PRIORITY    (-310) /* before the chains of others at the same hook */

struct host_guard {
	struct nft_ctx *ctx;
};

/* A name goes between quotes into a command; the kernel allows more characters in one than are safe
 * there. */
static bool is_plain(const char *name)
{
	return name[0] && strlen(name) < IF_NAMESIZE && strcspn(name, "\"\\*;{}\n") == strlen(name);
}

/* The commands in @out. Out: false if there are more ports than it holds. */
static bool rules_write(
	const char *iface, const uint16_t *ports, unsigned count, char *out, size_t bytes)
{
	int at = snprintf(out, bytes,
		"table inet sluice-%d-%s {\n flags owner;\n chain in {\n  type filter hook "
		"ingress device \"%s\" priority %d;\n"
		"  tcp dport { ",
		(int)getpid(), iface, iface, PRIORITY);

	for (unsigned i = 0; i < count && (size_t)at < bytes; i++)
		at += snprintf(out + at, bytes - (size_t)at, "%s%u", i ? ", " : "", ports[i]);
	if ((size_t)at < bytes)
		at += snprintf(out + at, bytes - (size_t)at, " } drop\n }\n}\n");
	return (size_t)at < bytes;
}

struct host_guard *host_guard_create(
	const char *iface, const uint16_t *ports, unsigned count, struct error *err)
{
	struct host_guard *g = calloc(1, sizeof(*g));
	char *rules = malloc(RULES_BYTES);
	const char *why = "out of memory";

	if (g)
		g->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!g || !g->ctx || !rules)
		goto err;
	nft_ctx_buffer_output(g->ctx);
	nft_ctx_buffer_error(g->ctx);
	why = "its name or the list of TCP ports is too long for a rule";
	if (count == 0 || !is_plain(iface) || !rules_write(iface, ports, count, rules, RULES_BYTES))
		goto err;
	if (nft_run_cmd_from_buffer(g->ctx, rules)) {
		why = nft_ctx_get_error_buffer(g->ctx);
		goto err;
	}
	free(rules);
	return g;

err:
	error_set(err, -ENOTSUP,
		"%.15s: the kernel refused a netfilter table for sluiced's TCP "
		"ports: %.*s",
		iface, (int)strcspn(why, "\n"), why);
	free(rules);
	host_guard_destroy(g);
	return NULL;
}

void host_guard_destroy(struct host_guard *g)
{
	if (!g)
		return;
	if (g->ctx)
		nft_ctx_free(g->ctx);
	free(g);
}
