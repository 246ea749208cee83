/*
 * registry.h - one registry of counters, for JSON and OpenMetrics alike
 *
 * A family is what counters of one kind have in common: their names, helps and types. A series is
 * one bearer of them: a worker, a volume, a pool. The code that creates a bearer adds its series
 * and deletes them again. Control thread only; readers read counters that workers write.
 */
#ifndef DAEMON_ADMIN_REGISTRY_H
#define DAEMON_ADMIN_REGISTRY_H

#include <jansson.h>
#include <stdint.h>
#include "config/limits.h"

enum registry_type { REGISTRY_COUNTER, REGISTRY_GAUGE };

/* What became of the packet or request that is counted. */
enum registry_fate {
	REGISTRY_FINE, /* it went its way, or it is no packet or request that is counted */
	REGISTRY_DROPPED,
	REGISTRY_HELD, /* it had to wait, and went on */
	REGISTRY_REFUSED,
	REGISTRY_FAILED /* answered with an error */
};

struct registry_item {
	const char *name; /* "rx_packets" */
	const char *help; /* one sentence, no full stop */
	enum registry_type type;
	enum registry_fate fate;
};

struct registry_family {
	const char *name;  /* "net": metrics are called sluice_net_rx_packets_total */
	const char *label; /* what tells series apart: "worker"; NULL if there is one at most */
	const struct registry_item *items;
	unsigned item_count; /* at most REGISTRY_ITEM_MAX */
};

struct registry;

struct registry *registry_create(void);	   /* NULL: no memory */
void registry_destroy(struct registry *r); /* NULL is fine */

/*
 * @read writes family->item_count values, each at most a turn old. @family and @ctx outlive the
 * series; @label_value is copied. Out: 0; -ENOSPC; -EEXIST if the family has that label value.
 */
int registry_add(struct registry *r, const struct registry_family *family, const char *label_value,
	void (*read)(const void *ctx, uint64_t *values), const void *ctx);
/* Every series of @ctx. */
void registry_del(struct registry *r, const void *ctx);

/* @values (item_count of them) under their names: a new reference, or NULL. */
json_t *registry_values(const struct registry_family *family, const uint64_t *values);
/* {"net": {"0": {"rx_packets": 1, …}}, …}: a new reference, or NULL. */
json_t *registry_json(const struct registry *r);
/*
 * A row for each counter whose fate is not FINE: [{"where": "worker 0", "counter":
 * "net.rx_bad_csum", "fate": "dropped", "count": 0, "text": help}, …]: a new reference, or NULL.
 */
json_t *registry_drops(const struct registry *r);
/* OpenMetrics 1.0 text, "# EOF" included; the caller frees it. NULL: no memory. */
char *registry_openmetrics(const struct registry *r);

#endif
