/*
 * config_schema.c - the shape of sluice.yaml, as libcyaml wants it said
 *
 * Shape only: which keys exist where, what is a list and how long it may be. All values are
 * strings here. What a number, a size or an address may be is checked afterwards, key by key
 * (config_item.c and its users), because libcyaml can say that a value is wrong but neither on
 * which line nor what would be right. config_yaml.c reads this same table to find unknown keys, so
 * a key is added in this file and in the table of its section, nowhere else.
 */
#include "config/config_raw.h"
#include "config/limits.h"

#define SHORT_BYTES_MAX 255u
#define OPTIONAL_STRING (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

#define TEXT(structure, member)                                                                    \
	CYAML_FIELD_STRING_PTR(                                                                    \
		#member, OPTIONAL_STRING, struct structure, member, 0, SHORT_BYTES_MAX)
#define LIST(structure, member, entry, max)                                                        \
	CYAML_FIELD_SEQUENCE(#member, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct structure,  \
		member, entry, 0, max)

static const cyaml_schema_value_t short_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, SHORT_BYTES_MAX),
};

static const cyaml_schema_value_t uri_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, URI_BYTES_MAX - 1),
};

static const cyaml_schema_field_t port_fields[] = {
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
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t reserve_fields[] = {
	TEXT(raw_reserve, size),
	TEXT(raw_reserve, safety),
	TEXT(raw_reserve, normal),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t volume_fields[] = {
	TEXT(raw_volume, name),
	CYAML_FIELD_STRING_PTR(
		"uri", OPTIONAL_STRING, struct raw_volume, uri, 0, URI_BYTES_MAX - 1),
	LIST(raw_volume, uris, &uri_schema, VOLUME_URI_MAX),
	TEXT(raw_volume, connections),
	TEXT(raw_volume, queue_depth),
	TEXT(raw_volume, io_size_max),
	TEXT(raw_volume, on_dead),
	TEXT(raw_volume, dead_timeout),
	TEXT(raw_volume, request_timeout),
	TEXT(raw_volume, connect_timeout),
	TEXT(raw_volume, copy),
	TEXT(raw_volume, read_only),
	TEXT(raw_volume, congestion_control),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t rule_fields[] = {
	TEXT(raw_rule, address),
	TEXT(raw_rule, port),
	TEXT(raw_rule, ethertype),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t port_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_port, port_fields),
};

static const cyaml_schema_value_t volume_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_volume, volume_fields),
};

static const cyaml_schema_value_t rule_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_rule, rule_fields),
};

static const cyaml_schema_field_t top_fields[] = {
	LIST(raw_config, ports, &port_schema, PORT_MAX),
	CYAML_FIELD_MAPPING(
		"reserve", CYAML_FLAG_OPTIONAL, struct raw_config, reserve, reserve_fields),
	LIST(raw_config, volumes, &volume_schema, VOLUME_MAX),
	LIST(raw_config, protect, &rule_schema, PROTECT_MAX),
	TEXT(raw_config, socket),
	TEXT(raw_config, run_dir),
	TEXT(raw_config, memory),
	TEXT(raw_config, hugepages),
	TEXT(raw_config, log_level),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_config, top_fields),
};
