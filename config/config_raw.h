/*
 * config_raw.h - the configuration as libcyaml leaves it: every value still a string
 *
 * Private to the room. A NULL string or a count of 0 means that the file does not have the key.
 */
#ifndef CONFIG_CONFIG_RAW_H
#define CONFIG_CONFIG_RAW_H

#include <cyaml/cyaml.h>

struct raw_port {
	char *name, *device, *mtu, *exception, *exception_iface, *queues, *rx_ring;
	char **address, **gateway, **cpus;
	unsigned address_count, gateway_count, cpus_count;
};

struct raw_reserve {
	char *size, *safety, *normal;
};

struct raw_volume {
	char *name, *uri, *connections, *queue_depth, *io_size_max, *on_dead, *dead_timeout;
	char *request_timeout, *connect_timeout, *copy, *read_only, *congestion_control;
	char **uris;
	unsigned uris_count;
};

struct raw_rule {
	char *address, *port, *ethertype;
};

struct raw_config {
	struct raw_port *ports;
	struct raw_volume *volumes;
	struct raw_rule *protect;
	unsigned ports_count, volumes_count, protect_count;
	struct raw_reserve reserve;
	char *socket, *run_dir, *memory, *hugepages, *log_level;
};

/* The file's shape; the only list of keys there is. */
extern const cyaml_schema_value_t config_schema;

#endif
