/*
 * pulse.c - what a flood costs a storm, the flood switched on and off beside one and the same
 *
 * Two storms of a kind, a minute apart, differ by a third where others use the same processors'
 * caches, so a flooded one beside a quiet one says little of the flood. Here the flood comes and
 * goes within one storm, every two seconds, in cycles of quiet, flooded, flooded, quiet and then
 * the other way round, in which what changes steadily cancels. Counted is what the storm is about:
 * pages that go to the device and come back. Not counted are the moments behind a change, and a
 * cycle that was not finished.
 */
#include "tests/pressure/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PHASE_MS  2000u
#define SETTLE_MS 300u /* for the flood to begin or to be over */

/* Pages swapped since the machine began; 0 if it does not say. */
static uint64_t pages_swapped(void)
{
	char text[8192];
	const char *in, *out;
	int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	in = strstr(text, "\npswpin ");
	out = strstr(text, "\npswpout ");
	return in && out ? strtoull(in + 8, NULL, 10) + strtoull(out + 9, NULL, 10) : 0;
}

/* Phases count from 1. */
static bool is_flooded(unsigned phase)
{
	static const bool pattern[] = {false, true, true, false, true, false, false, true};

	return phase > 0 && pattern[(phase - 1) % 8];
}

static void flood_switch(const struct pulse *p, bool on)
{
	int fd = on ? open(p->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd >= 0)
		close(fd);
	if (on ? fd < 0 : (unlink(p->file) && errno != ENOENT))
		fprintf(stderr, "pulse: %s: %s\n", p->file, strerror(errno));
}

void pulse_begin(struct pulse *p, const char *file)
{
	*p = (struct pulse){.file = file};
}

static void phase_begin(struct pulse *p, uint64_t now_ms)
{
	bool was_flooded = is_flooded(p->phase);

	p->phase++;
	p->changed_ms = now_ms;
	p->is_settled = false;
	if (is_flooded(p->phase) != was_flooded)
		flood_switch(p, !was_flooded);
}

static void phase_end(struct pulse *p, uint64_t now_ms, uint64_t pages)
{
	struct pulse_sum *sum = &p->cycle[is_flooded(p->phase)];

	sum->pages += pages - p->from_pages;
	sum->ms += now_ms - p->from_ms;
	if (p->phase % 4)
		return;
	for (unsigned i = 0; i < 2; i++) {
		p->sums[i].pages += p->cycle[i].pages;
		p->sums[i].ms += p->cycle[i].ms;
		p->cycle[i] = (struct pulse_sum){0};
	}
}

void pulse_look(struct pulse *p, uint64_t now_ms)
{
	uint64_t pages;

	if (!p->file)
		return;
	pages = pages_swapped();
	if (p->phase == 0)
		phase_begin(p, now_ms);
	if (!p->is_settled && now_ms - p->changed_ms >= SETTLE_MS) {
		p->is_settled = true;
		p->from_ms = now_ms;
		p->from_pages = pages;
	}
	if (now_ms - p->changed_ms < PHASE_MS)
		return;
	phase_end(p, now_ms, pages);
	phase_begin(p, now_ms);
}

void pulse_end(struct pulse *p)
{
	if (!p->file)
		return;
	flood_switch(p, false);
	printf("pulses: quiet %llu pages in %llu ms, flooded %llu pages in %llu ms\n",
		(unsigned long long)p->sums[0].pages, (unsigned long long)p->sums[0].ms,
		(unsigned long long)p->sums[1].pages, (unsigned long long)p->sums[1].ms);
	fflush(stdout);
}
