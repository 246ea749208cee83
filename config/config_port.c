/*
 * config_port.c - the ports: and protect: sections
 *
 * A port names a NIC and says what it is on the network. Checked here is what can be known from
 * the file alone: spelling, ranges, and that the parts agree with each other (a gateway inside the
 * port's own network, a core for one queue only). Whether the NIC exists and is free to take is
 * asked of the running machine later, by host_check().
 */
#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include "config/config_item.h"
#include "config/config_section.h"

#define RX_RING_MIN 64

static const char *const exception_words[] = {
	[EXCEPTION_OFF] = "off", [EXCEPTION_TAP] = "tap", [EXCEPTION_AUTO] = "auto", NULL};

#define PORT_ITEM(raw_member, out_member, ...)                                                     \
	ITEM(struct raw_port, struct config_port, raw_member, out_member, __VA_ARGS__)

static const struct item port_items[] = {
	PORT_ITEM(mtu, mtu, ITEM_COUNT, .min = MTU_MIN, .max = MTU_MAX),
	PORT_ITEM(exception, exception, ITEM_WORD, .words = exception_words),
	PORT_ITEM(queues, queues, ITEM_COUNT, .min = 1, .max = WORKER_MAX),
	PORT_ITEM(rx_ring, rx_ring, ITEM_COUNT, .min = RX_RING_MIN, .max = RX_RING_MAX),
};

#define RULE_ITEM(raw_member, out_member, ...)                                                     \
	ITEM(struct raw_rule, struct config_rule, raw_member, out_member, __VA_ARGS__)

static const struct item rule_items[] = {
	RULE_ITEM(port, port, ITEM_COUNT, .min = 1, .max = 65535),
	RULE_ITEM(ethertype, ethertype, ITEM_COUNT, .min = 0x600, .max = 0xffff),
};

/* Where a complaint goes: the section being read, and its path. */
struct where {
	const struct config_lines *lines;
	struct error *err;
	char base[32];
};

static const char *path_of(const struct where *at, const char *key, int idx, char *buf)
{
	if (idx < 0)
		snprintf(buf, CONFIG_PATH_BYTES, "%s.%s", at->base, key);
	else
		snprintf(buf, CONFIG_PATH_BYTES, "%s.%s[%d]", at->base, key, idx);
	return buf;
}

void config_port_defaults(struct config_port *port)
{
	memset(port, 0, sizeof(*port));
	port->exception = EXCEPTION_AUTO;
	port->queues = 1;
	port->rx_ring = RX_RING_DEFAULT;
}

static int iface_check(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IF_NAMESIZE || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '/' || name[i] == ':' || name[i] == ',' ||
			isspace((unsigned char)name[i]))
			return -EINVAL;
	}
	return 0;
}

static int device_store(
	const struct where *at, const struct raw_port *raw, struct config_port *port)
{
	char path[CONFIG_PATH_BYTES], pci[16];
	const char *text = raw->device, *iface = NULL;

	path_of(at, "device", -1, path);
	if (!text)
		return config_error(at->lines, path, at->err,
			"missing; give the NIC's PCI address (\"0000:00:03.0\"), %s",
			"or af_packet:IFACE or af_xdp:IFACE");
	if (strncmp(text, "af_packet:", 10) == 0) {
		port->kind = DEVICE_AF_PACKET;
		iface = text + 10;
	} else if (strncmp(text, "af_xdp:", 7) == 0) {
		port->kind = DEVICE_AF_XDP;
		iface = text + 7;
	}
	if (iface && iface_check(iface))
		return config_error(at->lines, path, at->err,
			"\"%.40s\" is not an interface name; `ip link` lists them", iface);
	if (!iface && config_pci_parse(text, pci))
		return config_error(at->lines, path, at->err, "\"%.60s\" is not a device; give %s",
			text, "a PCI address like 0000:00:03.0, af_packet:IFACE or af_xdp:IFACE");
	if (!iface)
		port->kind = DEVICE_PCI;
	snprintf(port->device, sizeof(port->device), "%s", iface ? iface : pci);
	return 0;
}

static int address_store(
	const struct where *at, const char *text, unsigned idx, struct config_port *port)
{
	char path[CONFIG_PATH_BYTES];
	uint8_t family, addr[16], bits;
	struct error why;

	path_of(at, "address", (int)idx, path);
	if (config_ip_parse(text, &family, addr) == 0)
		return config_error(at->lines, path, at->err,
			"%s has no prefix length; write it like %s/%s", text, text,
			family == AF_INET ? "24" : "64");
	if (config_cidr_parse(text, &family, addr, &bits))
		return config_error(at->lines, path, at->err,
			"\"%.60s\" is not an address; write it like 10.0.0.2/24 or "
			"fd00::2/64",
			text);
	if (config_ip_host_check(family, addr, bits, &why))
		return config_error(at->lines, path, at->err, "%s %s", text, why.text);
	for (unsigned i = 0; i < idx; i++) {
		if (strcmp(port->address[i], text) == 0)
			return config_error(
				at->lines, path, at->err, "%s is given twice; remove one", text);
	}
	snprintf(port->address[idx], sizeof(port->address[idx]), "%s", text);
	return 0;
}

/* Is @gateway on a network the port is on? Without addresses in the file this is not known yet. */
static bool gateway_is_near(const struct config_port *port, uint8_t family, const uint8_t *gateway)
{
	bool has_family = false;

	if (family == AF_INET6 && gateway[0] == 0xfe && (gateway[1] & 0xc0) == 0x80)
		return true;
	for (unsigned i = 0; i < port->address_count; i++) {
		uint8_t net_family, net[16], bits;
		int rc = config_cidr_parse(port->address[i], &net_family, net, &bits);

		assert(rc == 0);
		if (rc || net_family != family)
			continue;
		has_family = true;
		if (config_ip_within(gateway, net, bits))
			return true;
	}
	return !has_family && port->address_count == 0;
}

static int gateway_store(
	const struct where *at, const char *text, unsigned idx, struct config_port *port)
{
	char path[CONFIG_PATH_BYTES], *to;
	uint8_t family, addr[16];

	path_of(at, "gateway", (int)idx, path);
	if (config_ip_parse(text, &family, addr))
		return config_error(at->lines, path, at->err,
			"\"%.60s\" is not an address; write it like 10.0.0.1, with no "
			"prefix",
			text);
	to = family == AF_INET ? port->gateway : port->gateway6;
	if (*to)
		return config_error(at->lines, path, at->err, "a second gateway for %s; give one",
			family == AF_INET ? "IPv4" : "IPv6");
	if (!gateway_is_near(port, family, addr))
		return config_error(at->lines, path, at->err,
			"%s is on none of the port's networks; correct it or the address", text);
	snprintf(to, sizeof(port->gateway), "%s", text);
	return 0;
}

static int cpus_store(const struct where *at, const struct raw_port *raw, struct config_port *port)
{
	char path[CONFIG_PATH_BYTES];
	struct error why;

	if (raw->cpus_count && raw->cpus_count != port->queues)
		return config_error(at->lines, path_of(at, "cpus", -1, path), at->err,
			"names %u CPU%s, and the port has %u queue%s; name one CPU for each",
			raw->cpus_count, raw->cpus_count == 1 ? "" : "s", port->queues,
			port->queues == 1 ? "" : "s");
	for (unsigned i = 0; i < raw->cpus_count; i++) {
		uint64_t cpu;

		if (item_count_parse(raw->cpus[i], 0, 1023, &cpu, &why))
			return config_error(at->lines, path_of(at, "cpus", (int)i, path), at->err,
				"%s", why.text);
		port->cpu[i] = (uint16_t)cpu;
	}
	port->cpu_count = raw->cpus_count;
	return 0;
}

static int name_store(
	const struct where *at, const struct raw_port *raw, unsigned idx, struct config_port *port)
{
	char path[CONFIG_PATH_BYTES];
	struct error why;

	if (!raw->name) {
		snprintf(port->name, sizeof(port->name), "port%u", idx);
		return 0;
	}
	if (item_name_check(raw->name, &why))
		return config_error(
			at->lines, path_of(at, "name", -1, path), at->err, "%s", why.text);
	snprintf(port->name, sizeof(port->name), "%s", raw->name);
	return 0;
}

static int exception_iface_store(
	const struct where *at, const struct raw_port *raw, struct config_port *port)
{
	char path[CONFIG_PATH_BYTES];

	if (!raw->exception_iface)
		return 0;
	if (iface_check(raw->exception_iface) || strchr(raw->exception_iface, '%'))
		return config_error(at->lines, path_of(at, "exception_iface", -1, path), at->err,
			"\"%.40s\" is not an interface name; give up to 15 letters and digits, "
			"like "
			"sluice0",
			raw->exception_iface);
	snprintf(port->exception_iface, sizeof(port->exception_iface), "%s", raw->exception_iface);
	return 0;
}

static int port_store(
	const struct where *at, const struct raw_port *raw, unsigned idx, struct config_port *port)
{
	char path[CONFIG_PATH_BYTES];
	int rc;

	config_port_defaults(port);
	rc = items_store(port_items, sizeof(port_items) / sizeof(*port_items), raw, port, at->lines,
		at->base, at->err);
	if (rc == 0)
		rc = name_store(at, raw, idx, port);
	if (rc == 0)
		rc = device_store(at, raw, port);
	if (rc == 0)
		rc = exception_iface_store(at, raw, port);
	for (unsigned i = 0; rc == 0 && i < raw->address_count; i++) {
		rc = address_store(at, raw->address[i], i, port);
		port->address_count = i + 1;
	}
	for (unsigned i = 0; rc == 0 && i < raw->gateway_count; i++)
		rc = gateway_store(at, raw->gateway[i], i, port);
	if (rc == 0)
		rc = cpus_store(at, raw, port);
	if (rc == 0 && (port->rx_ring & (port->rx_ring - 1)))
		rc = config_error(at->lines, path_of(at, "rx_ring", -1, path), at->err,
			"%u is not a power of two; give 64, 128, … up to %u", port->rx_ring,
			RX_RING_MAX);
	return rc;
}

/* @port against those before it: no name, device or core twice. */
static int port_is_new(
	const struct where *at, const struct config *cfg, const struct config_port *port)
{
	char path[CONFIG_PATH_BYTES];

	for (unsigned i = 0; i < cfg->port_count; i++) {
		const struct config_port *other = &cfg->ports[i];

		if (strcmp(other->name, port->name) == 0)
			return config_error(at->lines, path_of(at, "name", -1, path), at->err,
				"%s is the name of ports[%u] too; choose another", port->name, i);
		if (port->exception_iface[0] &&
			strcmp(other->exception_iface, port->exception_iface) == 0)
			return config_error(at->lines, path_of(at, "exception_iface", -1, path),
				at->err, "%s is that of ports[%u] too; choose another",
				port->exception_iface, i);
		if (other->kind == port->kind && strcmp(other->device, port->device) == 0)
			return config_error(at->lines, path_of(at, "device", -1, path), at->err,
				"%s is the device of ports[%u] too; one port drives one NIC",
				port->device, i);
		for (unsigned j = 0; j < other->cpu_count * port->cpu_count; j++) {
			unsigned mine = j / other->cpu_count, theirs = j % other->cpu_count;

			if (port->cpu[mine] == other->cpu[theirs])
				return config_error(at->lines, path_of(at, "cpus", (int)mine, path),
					at->err, "core %u is used by ports[%u] too; give another",
					port->cpu[mine], i);
		}
	}
	return 0;
}

int config_ports_store(const struct raw_config *raw, struct config *cfg,
	const struct config_lines *lines, struct error *err)
{
	unsigned queue_count = 0;

	if (raw->ports_count == 0)
		return config_error(lines, "ports", err,
			"no port is given; add one with `ports: [{device: …, address: …}]`");
	assert(raw->ports_count <= PORT_MAX);
	for (unsigned i = 0; i < raw->ports_count; i++) {
		struct where at = {.lines = lines, .err = err};
		struct config_port *port = &cfg->ports[i];
		int rc;

		snprintf(at.base, sizeof(at.base), "ports[%u]", i);
		rc = port_store(&at, &raw->ports[i], i, port);
		if (rc == 0)
			rc = port_is_new(&at, cfg, port);
		if (rc)
			return rc;
		queue_count += port->queues;
		if (queue_count > WORKER_MAX)
			return config_error(lines, at.base, err,
				"%u queues with the ports before; all ports share %u workers",
				queue_count, WORKER_MAX);
		cfg->port_count = i + 1;
	}
	return 0;
}

/* ---- protect ---- */

static int rule_store(const struct where *at, const struct raw_rule *raw, struct config_rule *rule)
{
	char path[CONFIG_PATH_BYTES];
	uint8_t family, addr[16], bits;

	memset(rule, 0, sizeof(*rule));
	if (items_store(rule_items, sizeof(rule_items) / sizeof(*rule_items), raw, rule, at->lines,
		    at->base, at->err))
		return -EINVAL;
	if (!raw->address && !rule->port && !rule->ethertype)
		return config_error(at->lines, at->base, at->err,
			"protects nothing; give address, port or ethertype");
	if (rule->ethertype && (raw->address || rule->port))
		return config_error(at->lines, path_of(at, "ethertype", -1, path), at->err,
			"an ethertype has no address or port; make two rules of it");
	if (!raw->address)
		return 0;
	if (config_ip_parse(raw->address, &family, addr) == 0)
		snprintf(rule->address, sizeof(rule->address), "%.50s/%s", raw->address,
			family == AF_INET ? "32" : "128");
	else if (config_cidr_parse(raw->address, &family, addr, &bits) == 0)
		snprintf(rule->address, sizeof(rule->address), "%.60s", raw->address);
	else
		return config_error(at->lines, path_of(at, "address", -1, path), at->err,
			"\"%.60s\" is not an address; write it like 10.0.0.9 or 10.0.0.0/24",
			raw->address);
	return 0;
}

int config_protect_store(const struct raw_config *raw, struct config *cfg,
	const struct config_lines *lines, struct error *err)
{
	assert(raw->protect_count <= PROTECT_MAX);
	for (unsigned i = 0; i < raw->protect_count; i++) {
		struct where at = {.lines = lines, .err = err};

		snprintf(at.base, sizeof(at.base), "protect[%u]", i);
		if (rule_store(&at, &raw->protect[i], &cfg->protect[i]))
			return -EINVAL;
		cfg->protect_count = i + 1;
	}
	return 0;
}
