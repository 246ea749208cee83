/*
 * fake_host.c - the kernel's side of a port, and what it says of its memory
 *
 * One interface answers for all names, because a test has one port with one. Changes are
 * counted, and refused if the test says so.
 */
#include "tests/unit/daemon/fake_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct fake_host fake_host;

int host_iface_read(const char *name, struct host_iface *out, struct error *err)
{
	fake_host.reads++;
	virtual_us += fake_host.read_us;
	if (fake_host.iface_rc)
		return error_set(err, fake_host.iface_rc, "%s is not there", name);
	*out = fake_host.iface;
	snprintf(out->name, sizeof(out->name), "%s", name);
	return 0;
}

static int change(unsigned *count, struct error *err)
{
	(*count)++;
	return fake_host.set_rc ? error_set(err, fake_host.set_rc, "the kernel refuses the change")
				: 0;
}

int host_iface_mtu_set(const char *name, uint16_t mtu, struct error *err)
{
	fake_host.mtu = mtu;
	return change(&fake_host.mtu_sets, err);
}

int host_iface_up(const char *name, struct error *err)
{
	return change(&fake_host.ups, err);
}

int host_iface_carrier_set(const char *name, bool is_on, struct error *err)
{
	fake_host.is_carrier_on = is_on;
	return change(&fake_host.carriers, err);
}

int host_iface_addr_add(const char *name, const struct host_addr *addr, struct error *err)
{
	return change(&fake_host.addr_adds, err);
}

int host_iface_default_add(const char *name, const struct host_addr *gateway, struct error *err)
{
	return change(&fake_host.defaults, err);
}

struct host_follow *host_follow_create(struct error *err)
{
	if (fake_host.follow_rc) {
		error_set(err, fake_host.follow_rc, "no netlink");
		return NULL;
	}
	fake_host.follows_alive++;
	return (struct host_follow *)&fake_host;
}

void host_follow_destroy(struct host_follow *f)
{
	fake_host.follows_alive -= f != NULL;
}

unsigned host_follow_read(
	struct host_follow *f, struct host_neigh *out, unsigned max, bool *has_changed)
{
	unsigned n = fake_host.neigh_count < max ? fake_host.neigh_count : max;

	memcpy(out, fake_host.neigh, n * sizeof(out[0]));
	*has_changed = fake_host.has_changed;
	fake_host.neigh_count = 0;
	fake_host.has_changed = false;
	return n;
}

int host_memory_want(struct host_memory_want *out)
{
	*out = fake_host.want;
	return fake_host.want_rc;
}

void host_files_allow(void)
{
}

uint64_t host_memory_allocated(void)
{
	return 64u << 20;
}

uint64_t host_memory_resident(void)
{
	return 64 << 20;
}

uint64_t host_memory_files(void)
{
	return 1 << 20;
}

int host_thread_protect(void)
{
	return 0;
}
