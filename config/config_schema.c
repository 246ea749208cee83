/*
 * config_schema.c - the shape of sluice.yaml: which keys exist where, what is a list and how long
 * it may be
 *
 * Shape only, and all values are strings. What a number, a size or an address may be is checked
 * afterwards, key by key (config_item.c and its users). config_yaml.c reads the file by this table,
 * so a key is added here and in the table of its section, nowhere else.
 */
#include "config/config_raw.h"
#include "config/limits.h"

#define SHORT_BYTES_MAX 255u

#define TEXT_OF(max)                                                                               \
	{                                                                                          \
		.type = SCHEMA_TEXT, .size = sizeof(char *), .bytes_max = (max)                    \
	}
#define LIST_OF(entry_, max)                                                                       \
	{                                                                                          \
		.type = SCHEMA_LIST, .size = sizeof(void *), .entry = (entry_), .count_max = (max) \
	}
#define MAPPING_OF(structure, fields_)                                                             \
	{                                                                                          \
		.type = SCHEMA_MAPPING, .size = sizeof(struct structure), .fields = (fields_)      \
	}
#define FIELD(structure, member, ...)                                                              \
	{                                                                                          \
		.key = #member, .offset = offsetof(struct structure, member), .value = __VA_ARGS__ \
	}
#define TEXT(structure, member) FIELD(structure, member, TEXT_OF(SHORT_BYTES_MAX))
#define LIST(structure, member, entry_, max)                                                       \
	{                                                                                          \
		.key = #member, .offset = offsetof(struct structure, member),                      \
		.count_offset = offsetof(struct structure, member##_count),                        \
		.value = LIST_OF(entry_, max)                                                      \
	}
#define FIELD_END                                                                                  \
	{                                                                                          \
		.key = NULL                                                                        \
	}

static const struct schema_value short_schema = TEXT_OF(SHORT_BYTES_MAX);
static const struct schema_value uri_schema = TEXT_OF(URI_BYTES_MAX - 1);

static const struct schema_field port_fields[] = {
	TEXT(raw_port, name),
	TEXT(raw_port, device),
	LIST(raw_port, address, &short_schema, PORT_ADDRESS_MAX),
	LIST(raw_port, gateway, &short_schema, 2),
	TEXT(raw_port, mtu),
	TEXT(raw_port, exception),
	TEXT(raw_port, exception_iface),
	TEXT(raw_port, queues),
	TEXT(raw_port, rx_ring),
	LIST(raw_port, cpus, &short_schema, WORKER_MAX),
	FIELD_END,
};

static const struct schema_field reserve_fields[] = {
	TEXT(raw_reserve, size),
	TEXT(raw_reserve, safety),
	TEXT(raw_reserve, normal),
	FIELD_END,
};

static const struct schema_field volume_fields[] = {
	TEXT(raw_volume, name),
	FIELD(raw_volume, uri, TEXT_OF(URI_BYTES_MAX - 1)),
	LIST(raw_volume, uris, &uri_schema, VOLUME_URI_MAX),
	TEXT(raw_volume, connections),
	TEXT(raw_volume, queue_depth),
	TEXT(raw_volume, io_size_max),
	TEXT(raw_volume, on_dead),
	TEXT(raw_volume, unstable),
	TEXT(raw_volume, dead_timeout),
	TEXT(raw_volume, request_timeout),
	TEXT(raw_volume, dead_peer_timeout),
	TEXT(raw_volume, connect_timeout),
	TEXT(raw_volume, copy),
	TEXT(raw_volume, read_only),
	TEXT(raw_volume, congestion_control),
	FIELD_END,
};

static const struct schema_field rule_fields[] = {
	TEXT(raw_rule, address),
	TEXT(raw_rule, port),
	TEXT(raw_rule, ethertype),
	FIELD_END,
};

static const struct schema_value port_schema = MAPPING_OF(raw_port, port_fields);

const struct schema_value config_volume_schema = MAPPING_OF(raw_volume, volume_fields);

static const struct schema_value rule_schema = MAPPING_OF(raw_rule, rule_fields);

static const struct schema_field top_fields[] = {
	LIST(raw_config, ports, &port_schema, PORT_MAX),
	FIELD(raw_config, reserve, MAPPING_OF(raw_reserve, reserve_fields)),
	LIST(raw_config, volumes, &config_volume_schema, VOLUME_MAX),
	LIST(raw_config, protect, &rule_schema, PROTECT_MAX),
	TEXT(raw_config, volumes_dir),
	TEXT(raw_config, socket),
	TEXT(raw_config, run_dir),
	TEXT(raw_config, memory),
	TEXT(raw_config, hugepages),
	TEXT(raw_config, log_level),
	FIELD_END,
};

const struct schema_value config_schema = MAPPING_OF(raw_config, top_fields);
