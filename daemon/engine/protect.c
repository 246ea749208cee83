/*
 * protect.c - the rules of `protect:`, from the configuration to the workers
 *
 * A worker's classifier holds them in a table of its own. They are made of the configuration's text
 * here, on the control thread, and the worker copies them between two bursts, so a packet meets the
 * old rules or the new ones. One set lies in the ports until every worker has copied it.
 */
#include <errno.h>
#include <string.h>
#include "daemon/engine/ports_impl.h"

static_assert(PROTECT_MAX <= PROTECT_RULE_MAX, "every rule of the file fits a classifier");

void ports_rules_of(const struct config *cfg, struct worker_rules *out)
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

int ports_protect_set(struct ports *ps, const struct config *cfg)
{
	const struct worker_cmd cmd = {.type = WORKER_RULES_SET, .a = &ps->rules};
	unsigned i, q;

	for (i = 0; i < ps->count; i++)
		for (q = 0; q < ps->list[i].queue_count; q++)
			if (!backlog_done(&ps->list[i].queues[q].backlog,
				    ps->list[i].queues[q].is.worker))
				return -EAGAIN;
	ports_rules_of(cfg, &ps->rules);
	ports_post_all(ps, &cmd);
	return 0;
}
