/*
 * config_raw.h - the file as it stands: every value still a string, in the shape of the schema
 *
 * Private to config/. A NULL string or a count of 0 means that the file does not have the key.
 */
#ifndef CONFIG_CONFIG_RAW_H
#define CONFIG_CONFIG_RAW_H

#include <stddef.h>

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
	char *unstable, *request_timeout, *dead_peer_timeout, *connect_timeout, *copy, *read_only,
		*congestion_control;
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
	char *volumes_dir, *socket, *run_dir, *memory, *hugepages, *log_level;
	struct raw_block *blocks; /* what all pointers of the struct point into */
};

enum schema_type { SCHEMA_TEXT, SCHEMA_LIST, SCHEMA_MAPPING };

/* What may stand at a place of the file, and how it lies in memory. */
struct schema_value {
	enum schema_type type;
	size_t size; /* bytes in memory; a list: of the pointer to its entries */
	unsigned bytes_max;		   /* text: the longest */
	const struct schema_value *entry;  /* list: what each entry is, and */
	unsigned count_max;		   /* … how many there may be */
	const struct schema_field *fields; /* mapping: up to one whose key is NULL */
};

struct schema_field {
	const char *key; /* first: config_nearest() walks the fields by it */
	struct schema_value value;
	size_t offset;	     /* in the struct of the mapping */
	size_t count_offset; /* list: of the unsigned that counts its entries */
};

/* The file's shape; the only list of keys there is. */
extern const struct schema_value config_schema;
extern const struct schema_value config_volume_schema; /* of one volume in it */

#endif
