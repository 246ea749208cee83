/*
 * config_section.h - from the raw strings of one section to the values of config.h
 *
 * Private to the room. Each answers 0, or -EINVAL with file, line and remedy in @err.
 */
#ifndef CONFIG_CONFIG_SECTION_H
#define CONFIG_CONFIG_SECTION_H

#include "config/config.h"
#include "config/config_yaml.h"

void config_port_defaults(struct config_port *port);
void config_volume_defaults(struct config_volume *volume);

/* A file's text in memory, which the caller frees. 0, or -errno with @err. */
int config_text_read(const char *path, char **text, size_t *bytes, struct error *err);

/*
 * One volume out of the strings of @raw, which stands at @base in its file, "volumes[2]". The name
 * stays empty if none is given; config_volume_name_fill() calls it after its export.
 */
int config_volume_parse(const struct raw_volume *raw, const char *base,
	struct config_volume *volume, const struct config_lines *lines, struct error *err);
void config_volume_name_fill(struct config_volume *volume);
/* Adds the volumes of each file in cfg->volumes_dir. */
int config_dir_load(struct config *cfg, struct error *err);

int config_ports_store(const struct raw_config *raw, struct config *cfg,
	const struct config_lines *lines, struct error *err);
int config_volumes_store(const struct raw_config *raw, struct config *cfg,
	const struct config_lines *lines, struct error *err);
int config_protect_store(const struct raw_config *raw, struct config *cfg,
	const struct config_lines *lines, struct error *err);

/* "0000:00:03.0" or "00:03.0" → the full form in @out (13 bytes). 0 or -EINVAL. */
int config_pci_parse(const char *text, char out[16]);
/* An address with no prefix. 0 or -EINVAL. */
int config_ip_parse(const char *text, uint8_t *family, uint8_t addr[16]);
/* Is @addr within the first @prefix_bits of @net? Both in network order. */
bool config_ip_within(const uint8_t *addr, const uint8_t *net, unsigned prefix_bits);
/* Could a port own it: not loopback, multicast, broadcast or all zeros. */
int config_ip_host_check(
	uint8_t family, const uint8_t *addr, unsigned prefix_bits, struct error *why);

#endif
