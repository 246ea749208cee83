/*
 * ports_impl.h - inside of the ports, for ports*.c, port_*.c and protect.c
 */
#ifndef DAEMON_ENGINE_PORTS_IMPL_H
#define DAEMON_ENGINE_PORTS_IMPL_H

#include <net/if.h>
#include "config/host/host.h"
#include "config/host/host_guard.h"
#include "daemon/engine/backlog.h"
#include "daemon/engine/ports.h"
#include "daemon/engine/shortage.h"
#include "dataplane/exception/exception.h"

struct engine_queue {
	struct ports_queue is;
	struct backlog backlog; /* of what concerns the worker as a whole: floor, addresses, MTU */
	uint32_t floor;		/* as the pool has it, or will once its worker did as told */
	uint64_t alarms_told;	/* runs of failed refills the log has heard of */
	bool is_alarmed;
	int port_fds[LOCAL_PORT_MAX]; /* kernel sockets that hold this worker's TCP ports */
	unsigned port_fd_count;
};

struct engine_port {
	const struct config_port *cfg;
	struct port *port;
	struct host_iface iface; /* as last read: the kernel's own or its end of the exception port;
				    may be empty */
	struct net_addr addrs[NET_ADDR_MAX];
	unsigned addr_count, queue_count;
	struct worker_addrs follow_addrs; /* posted to the workers: theirs until the queues'
					     backlogs are done */
	bool is_follow_due, is_link_up;
	uint16_t stack_mtu;	  /* the value last posted to the workers */
	struct host_guard *guard; /* af_packet: NULL elsewhere, and where the kernel refused it */
	struct exception *exception; /* NULL: none, and exception_why has the reason */
	char exception_iface[IF_NAMESIZE], exception_why[ERROR_TEXT_BYTES];
	struct engine_queue queues[WORKER_MAX];
	struct worker *workers[WORKER_MAX];
	struct handover *handover; /* NULL: one queue */
};

struct ports {
	const struct config *cfg;
	struct budget *budget;
	struct clock *clock;
	struct engine_port list[PORT_MAX];
	unsigned count;
	struct worker_rules rules;  /* as workers have them, or will once their commands are done */
	struct host_follow *follow; /* NULL: nothing is followed */
	uint64_t link_due_us;
	uint64_t follow_due_us; /* the kernel's interfaces are not read again before */
	struct ports_shortage {
		struct shortage is;
		uint64_t due_us, count; /* times it began */
	} shortage;
};

/* ports_start.c: opens, sizes and starts port @idx, its workers numbered from @first on. */
int ports_bring_up(struct ports *ps, unsigned idx, unsigned first, struct error *err);
void ports_take_down(struct engine_port *p);
/* The gateway of @a, from the file or else from @iface. */
void ports_gateway_set(
	struct net_addr *a, const struct config_port *cfg, const struct host_iface *iface);

/* ports_pools.c */
int ports_pools_create(struct ports *ps, unsigned port, struct error *err);
void ports_pools_destroy(struct engine_port *p);
/* Logs when a ring's refills fail, and when they succeed again. */
void ports_alarm_poll(struct ports *ps);

/* protect.c: what cfg->protect means to a worker. */
void ports_rules_of(const struct config *cfg, struct worker_rules *out);

/*
 * port_exception.c: makes the kernel's end of @p if it is to have one. 0, or -errno with @err
 * where the configuration requires it.
 */
int ports_exception_open(struct engine_port *p, unsigned idx, struct error *err);

/* port_shortage.c: looks whether the kernel is short of memory, and has its frames rationed. */
void ports_shortage_start(struct ports *ps); /* says so if the kernel does not tell */
void ports_shortage_poll(struct ports *ps, uint64_t now_us);

/* port_follow.c: what changes on the kernel's end. */
void ports_follow_start(struct ports *ps);
void ports_follow_poll(struct ports *ps, uint64_t now_us);

#endif
