/*
 * config_net.c - addresses as people write them: IP, CIDR, PCI
 *
 * Pure parsers, strict about the whole string. An address that no interface can own (loopback,
 * multicast, the network's own or its broadcast address) is distinguished from one that is merely
 * misspelt, since the remedies differ.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "config/config_item.h"
#include "config/config_section.h"

int config_ip_parse(const char *text, uint8_t *family, uint8_t addr[16])
{
	uint8_t bytes[16] = {0};

	if (inet_pton(AF_INET, text, bytes) == 1)
		*family = AF_INET;
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*family = AF_INET6;
	else
		return -EINVAL;
	memcpy(addr, bytes, sizeof(bytes));
	return 0;
}

int config_cidr_parse(const char *text, uint8_t *family, uint8_t addr[16], uint8_t *prefix_bits)
{
	const char *slash = strchr(text, '/');
	char host[64];
	uint64_t bits;
	uint8_t found, bytes[16];

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	/* "/024" and "/0x18" are numbers to strtoul and typing errors to a person. */
	if (strlen(slash + 1) > 3 || (slash[1] == '0' && slash[2] != '\0'))
		return -EINVAL;
	if (item_count_parse(slash + 1, 0, 128, &bits, NULL))
		return -EINVAL;
	if (config_ip_parse(host, &found, bytes) || (found == AF_INET && bits > 32))
		return -EINVAL;
	memcpy(addr, bytes, sizeof(bytes));
	*family = found;
	*prefix_bits = (uint8_t)bits;
	return 0;
}

bool config_ip_within(const uint8_t *addr, const uint8_t *net, unsigned prefix_bits)
{
	unsigned whole = prefix_bits / 8, rest = prefix_bits % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	assert(prefix_bits <= 128);
	if (memcmp(addr, net, whole) != 0)
		return false;
	return rest == 0 || ((addr[whole] ^ net[whole]) & mask) == 0;
}

/* Are all bits of @addr after @prefix_bits equal to @bit? */
static bool host_bits_are(
	const uint8_t *addr, unsigned prefix_bits, unsigned total_bits, unsigned bit)
{
	for (unsigned i = prefix_bits; i < total_bits; i++) {
		if (((addr[i / 8] >> (7 - i % 8)) & 1u) != bit)
			return false;
	}
	return true;
}

int config_ip_host_check(
	uint8_t family, const uint8_t *addr, unsigned prefix_bits, struct error *why)
{
	static const uint8_t loopback6[16] = {[15] = 1};
	bool is_v4 = family == AF_INET;

	if (host_bits_are(addr, 0, is_v4 ? 32 : 128, 0))
		return error_set(why, -EINVAL, "is the unspecified address; give the port's own");
	if (is_v4 ? addr[0] == 127 : memcmp(addr, loopback6, 16) == 0)
		return error_set(why, -EINVAL, "is a loopback address; give the port's own");
	if (is_v4 ? addr[0] >= 224 : addr[0] == 0xff)
		return error_set(why, -EINVAL, "is not a unicast address; give the port's own");
	if (!is_v4 || prefix_bits >= 31)
		return 0;
	if (host_bits_are(addr, prefix_bits, 32, 0))
		return error_set(why, -EINVAL,
			"is the address of the network itself; give the port's own in it");
	if (host_bits_are(addr, prefix_bits, 32, 1))
		return error_set(
			why, -EINVAL, "is the network's broadcast address; give the port's own");
	return 0;
}

/* @digits hex digits at @text, none of them missing. */
static bool hex_field(const char *text, unsigned digits)
{
	return strspn(text, "0123456789abcdefABCDEF") >= digits;
}

int config_pci_parse(const char *text, char out[16])
{
	const char *bus = strlen(text) == 12 ? text + 5 : text;

	if (bus != text && (!hex_field(text, 4) || text[4] != ':'))
		return -EINVAL;
	if (strlen(bus) != 7 || !hex_field(bus, 2) || bus[2] != ':' || !hex_field(bus + 3, 2) ||
		bus[5] != '.' || bus[6] < '0' || bus[6] > '7')
		return -EINVAL;
	snprintf(out, 16, "%s%s", bus == text ? "0000:" : "", text);
	/* sysfs writes its names in lower case. */
	for (unsigned i = 0; out[i]; i++) {
		if (out[i] >= 'A' && out[i] <= 'F')
			out[i] = (char)(out[i] - 'A' + 'a');
	}
	return 0;
}
