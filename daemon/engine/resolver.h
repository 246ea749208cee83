/*
 * resolver.h - host names to addresses, off the control thread
 *
 * Control thread only, all of it; the threads behind it are its own.
 */
#ifndef DAEMON_ENGINE_RESOLVER_H
#define DAEMON_ENGINE_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>
#include "config/error.h"
#include "dataplane/net/stream.h"

#define RESOLVER_IP_MAX	    8	/* addresses kept of one name */
#define RESOLVER_THREAD_MAX 4	/* look-ups at the same time */
#define RESOLVER_JOB_MAX    256 /* … and waiting */
#define RESOLVER_KNOWN_MAX  64	/* names whose last good addresses are kept */

struct resolver;

struct resolver_ips {
	unsigned count;
	struct net_ip ip[RESOLVER_IP_MAX];
};

/*
 * Asks for the addresses of @host; may block, allocates, runs on a thread of the resolver. Out: 0
 * with
 * @ips, at least one; else -EHOSTUNREACH with the reason alone in @err.
 */
typedef int resolver_lookup_fn(const char *host, struct resolver_ips *ips, struct error *err);

/* getaddrinfo(3), IPv4 and IPv6. */
resolver_lookup_fn resolver_lookup;
/* @host is an address already: 0 with it, without a look-up, or -EINVAL. Any thread. */
int resolver_numeric(const char *host, struct net_ip *ip);

/* No thread is started before the first question. NULL with @err. */
struct resolver *resolver_create(resolver_lookup_fn *lookup, struct error *err);
/*
 * Waits a moment for running look-ups and abandons those that do not end: their threads and memory
 * stay until the process ends. NULL is fine.
 */
void resolver_destroy(struct resolver *r);

int resolver_fd(const struct resolver *r); /* readable when an answer may have come */
void resolver_clear(struct resolver *r);   /* takes that back; look at every question after it */

/* Out: a ticket, never 0; 0: RESOLVER_JOB_MAX questions wait, or no thread can be had. @host is
 * copied. */
uint64_t resolver_ask(struct resolver *r, const char *host);

struct resolver_answer {
	struct resolver_ips ips; /* none: the look-up failed, and no earlier one is remembered */
	bool is_remembered;	 /* it failed, and these are the last good ones */
	struct error error;	 /* why it failed */
};
/* True: the answer is in @out, and the ticket is used up. */
bool resolver_take(struct resolver *r, uint64_t ticket, struct resolver_answer *out);
/* The asker waits no longer: as resolver_take(), with what is remembered and @why. */
void resolver_give_up(
	struct resolver *r, uint64_t ticket, const char *why, struct resolver_answer *out);

#endif
