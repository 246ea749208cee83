/*
 * pair.h - two channels of one device, each in a world of its own, turned by one thread
 */
#ifndef TESTS_UNIT_NBD_CLIENT_PAIR_H
#define TESTS_UNIT_NBD_CLIENT_PAIR_H

#include <assert.h>
#include <stdlib.h>
#include "tests/unit/nbd_client/world.h"

struct pair {
	struct volume_group *group;
	struct world *a, *b; /* a leads */
};

/* Not started: a test may change what the worlds are. */
static inline struct pair *pair_make(void)
{
	struct pair *p = calloc(1, sizeof(*p));

	p->group = volume_group_create();
	p->a = world_create();
	p->b = world_create();
	assert(p->group);
	p->a->cfg.group = p->b->cfg.group = p->group;
	p->b->cfg.channel = 1;
	p->b->first = p->a;
	return p;
}

static inline void pair_turns(struct pair *p, unsigned count)
{
	while (count-- > 0) {
		world_turns(p->a, 1);
		if (p->b->volume)
			world_turns(p->b, 1);
	}
}

static inline struct pair *pair_start(struct pair *p)
{
	world_start(p->a);
	pair_turns(p, 50);
	assert(world_info(p->a).state == VOLUME_READY);
	world_start(p->b);
	pair_turns(p, 50);
	return p;
}

static inline struct pair *pair_ready(struct pair *p)
{
	pair_start(p);
	assert(world_info(p->b).state == VOLUME_READY);
	return p;
}

static inline void pair_free(struct pair *p)
{
	world_destroy(p->a);
	world_destroy(p->b);
	volume_group_destroy(p->group);
	free(p);
}

#endif
