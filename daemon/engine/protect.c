/*
 * protect.c - the rules of `protect:`, from the configuration to the workers
 *
 * A worker's classifier holds them in a table of its own. They are made of the configuration's text
 * here, on the control thread, and the worker copies them between two bursts, so a packet meets the
 * old rules or the new ones. One set lies in the engine until every worker has copied it.
 */
#include <errno.h>
#include <string.h>
#include "daemon/engine/engine_impl.h"

static_assert(PROTECT_MAX <= PROTECT_RULE_MAX, "every rule of the file fits a classifier");

void engine_rules_of(const struct config *cfg, struct worker_rules *out)
{
	unsigned i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < cfg->protect_count; i++) {
		const struct config_rule *from = &cfg->protect[i];
		struct protect_rule *rule = &out->rules[out->count++];

		rule->port = from->port;
		rule->ethertype = from->ethertype;
		if (from->address[0])
			config_cidr_parse(from->address, &rule->family, rule->remote,
				&rule->remote_prefix_bits);
	}
}

int engine_protect_set(struct engine *e, const struct config *cfg)
{
	const struct worker_cmd cmd = {.type = WORKER_RULES_SET, .a = &e->rules};
	unsigned i, q;

	for (i = 0; i < e->port_count; i++)
		for (q = 0; q < e->ports[i].queue_count; q++)
			if (!backlog_done(
				    &e->ports[i].queues[q].backlog, e->ports[i].queues[q].worker))
				return -EAGAIN;
	engine_rules_of(cfg, &e->rules);
	for (i = 0; i < e->port_count; i++)
		for (q = 0; q < e->ports[i].queue_count; q++)
			backlog_post(
				&e->ports[i].queues[q].backlog, e->ports[i].queues[q].worker, &cmd);
	return 0;
}
