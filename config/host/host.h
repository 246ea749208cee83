/*
 * host.h - what the kernel knows about a device, asked by libnl and sysfs
 *
 * All set-up and control-thread code. Every failure that a user can fix has a message that says
 * how.
 */
#ifndef CONFIG_HOST_HOST_H
#define CONFIG_HOST_HOST_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"

struct host_addr {
	uint8_t family, prefix_bits;
	uint8_t addr[16];
};

struct host_iface {
	char name[IF_NAMESIZE];
	int index;
	uint8_t mac[6];
	uint16_t mtu;
	bool is_up, has_default_route;
	bool is_ethernet; /* its frames have MAC addresses in front; not so a tun's, WireGuard's, a
			     PPP link's, loopback's */
	struct host_addr addrs[NET_ADDR_MAX];
	unsigned addr_count;
	struct host_addr gateway, gateway6; /* family 0 = none */
};

/* Reads interface @name: addresses (global scope first), MTU, routes. 0, -ENODEV, -errno. */
int host_iface_read(const char *name, struct host_iface *out, struct error *err);

/*
 * Does a default route leave by @iface, or by an interface on top of it (bridge, bond, VLAN,
 * macvlan, …)? If so its name is in @through, which may be @iface. False also where the kernel does
 * not answer. Control thread; allocates.
 */
bool host_default_route_by(const char *iface, char *through, unsigned through_bytes);

/*
 * Changes to interface @name, a tap of ours. Each 0, or -errno with the sentence in @err. What is
 * so already is no error.
 */
int host_iface_mtu_set(const char *name, uint16_t mtu, struct error *err);
int host_iface_up(const char *name, struct error *err);
/* The cable, as the kernel sees it: follows the NIC's link. */
int host_iface_carrier_set(const char *name, bool is_on, struct error *err);
int host_iface_addr_add(const char *name, const struct host_addr *addr, struct error *err);
/* A default route by @gateway of so high a metric that any other is preferred. */
int host_iface_default_add(const char *name, const struct host_addr *gateway, struct error *err);

/* A neighbour that the kernel has just reached. */
struct host_neigh {
	int index; /* of the interface */
	uint8_t family, addr[16], mac[6];
};

struct host_follow;

/* Subscribes to news of all interfaces. NULL with @err. */
struct host_follow *host_follow_create(struct error *err);
void host_follow_destroy(struct host_follow *f); /* NULL is fine */
int host_follow_fd(const struct host_follow *f); /* readable when there is news */
/*
 * Reads the news there is. Out: neighbours, at most @max, in @out; *has_changed: a link, an address
 * or a route did, or news were lost, so read again what you know of interfaces.
 */
unsigned host_follow_read(
	struct host_follow *f, struct host_neigh *out, unsigned max, bool *has_changed);

struct host_pci {
	char address[16];
	char driver[32];	   /* empty = none */
	char iface[IF_NAMESIZE];   /* kernel interface it carries, empty = none */
	bool has_iommu_group;
	char group_blocker[16]; /* a device of its IOMMU group that another driver holds; empty =
				   none */
	uint16_t vendor, device;
};
/* 0, -ENODEV (no such PCI device), -errno. */
int host_pci_read(const char *address, struct host_pci *out, struct error *err);

/*
 * Everything a user must have in place to run @cfg, checked in the order they would meet it:
 * vfio and IOMMU, driver binding, default route, hugepages, locked memory, ublk, privilege.
 * Out: 0, or -errno with the first problem and its remedy in @err.
 */
int host_check(const struct config *cfg, bool need_ublk, struct error *err);

struct host_check_line {
	const char *what;
	bool is_good, is_required;
	int rc; /* -errno of what is not good, else 0 */
	char text[256];
	char remedy[256]; /* empty when good */
};
#define HOST_CHECK_LINE_MAX (PORT_MAX * 7 + 4)
/* The same list in full, for `sluice doctor`. @cfg NULL: what does not depend on one. */
unsigned host_doctor(const struct config *cfg, struct host_check_line *out, unsigned max);

/*
 * Devices that a daemon of @run_dir left in the kernel, each a line that is not good; none while a
 * daemon runs there. Out: their number, at most @max. Any process.
 */
#define HOST_LEFT_LINE_MAX 64
unsigned host_left(const char *run_dir, struct host_check_line *out, unsigned max);

/* Free hugepages of all sizes, on any node, in MiB; NULL, or in @text how many of which size ("3 of
 * 2 MiB, 1 of 1 GiB"). */
uint32_t host_hugepages_free_mib(char *text, unsigned bytes);
/* In @out the command after which @mib of hugepages are free, of 2 MiB where there are such. */
void host_hugepages_command(uint32_t mib, char *out, unsigned bytes);

/*
 * A mount namespace of its own for the calling process, once, before threads: of all mounts those
 * stay that a daemon needs, and those that hold one of @paths (NULL is skipped) or, if it is not
 * there, the nearest directory above it. Changes the working directory to "/". 0 or -errno.
 */
int host_mounts_leave(const char *const paths[], unsigned count);
/* Has it succeeded? Then no other process sees a mount made by this one. Any thread, after it. */
bool host_mounts_are_own(void);
/*
 * PR_SET_IO_FLUSHER, OOM score -1000, host_mounts_leave(@paths): for the calling process, once,
 * before threads. Each is tried; what was refused is in @err and the result is the first -errno.
 */
int host_process_protect(const char *const paths[], unsigned count, struct error *err);
/* As many open files as the hard limit allows: volumes and workers hold some each. */
void host_files_allow(void);
/* mlockall, of what is there and what will come: once DPDK has its memory. 0 or -errno. */
int host_memory_lock(struct error *err);
/* Bytes of this process that are resident: in all, hugepages included, and of files (programs,
 * libraries). */
uint64_t host_memory_resident(void);
/* Bytes that malloc() has from the kernel, free ones included: all of them are locked. */
uint64_t host_memory_allocated(void);
uint64_t host_memory_files(void);
/* What the kernel has counted of its memory since it started. */
struct host_memory_want {
	uint64_t stalled_us; /* time in which some task waited for memory */
	uint64_t reclaimed;  /* pages that its own thread had to make free */
};
/* 0, or -errno where a kernel does not count them (/proc/pressure/memory, /proc/vmstat). */
int host_memory_want(struct host_memory_want *out);
/* Threads made from now on have a stack of THREAD_STACK_BYTES, all of which memory_lock makes
 * resident. */
int host_stacks_fit(void);
/* PR_SET_IO_FLUSHER is per thread: each calls this. 0 or -errno */
int host_thread_protect(void);
/* The calling thread runs before ordinary programs do. 0 or -errno */
int host_thread_hurry(void);
/*
 * The calling thread's sleeps end on time; else one of 50 us may take 100. It asks for no
 * privilege.
 */
void host_thread_punctual(void);

#define HOST_CPU_MAX 1024
/*
 * Processors the calling thread may run on, ascending, at most @max. Out: how many; 0: unknown. Any
 * thread.
 */
unsigned host_cpus(uint16_t *out, unsigned max);
/* "0-2,5" of @count ascending @cpus; ends before a range that has no room. Any thread. */
void host_cpus_text(const uint16_t *cpus, unsigned count, char *out, unsigned out_bytes);

/* One daemon: takes the lock file under @run_dir. Out: fd, or -EBUSY with the pid that holds it. */
int host_lock(const char *run_dir, struct error *err);

#endif
