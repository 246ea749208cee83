/*
 * report.h - the engine's facts as JSON, for every method that only reads
 */
#ifndef DAEMON_ADMIN_REPORT_H
#define DAEMON_ADMIN_REPORT_H

#include <jansson.h>
#include <stdint.h>

struct engine;
struct device_info;

/* Each answers a new reference the caller owns; NULL only out of memory. Control thread. */
json_t *report_status(struct engine *e, uint64_t uptime_s);
json_t *report_list(struct engine *e);
/* A row of the list. */
json_t *report_volume(const struct device_info *v);
json_t *report_stats(struct engine *e);
/* The same and more as OpenMetrics text; the caller frees it. */
char *report_openmetrics(struct engine *e);
/* Rows of registry_drops() for all there is: what was dropped, held, refused or failed, and why. */
json_t *report_drops(struct engine *e);
json_t *report_reserve(struct engine *e);
json_t *report_reserve_explain(struct engine *e);
/* The sum of all terms of memory, beside what the kernel counts: part of the above. */
json_t *report_memory(struct engine *e);
json_t *report_reserve_leaks(struct engine *e, uint64_t now_us);
/* What `sluice probe` shows of a volume that negotiated. */
json_t *report_probe(struct engine *e, const char *name);
struct takeover;
/* Appends to @volumes a row for each volume that waits for takeover or for its server. */
void report_takeover(const struct takeover *t, json_t *volumes);
/* Appends to @lines (doctor) the devices that no process serves. */
void report_takeover_doctor(const struct takeover *t, json_t *lines);

#endif
