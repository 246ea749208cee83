/*
 * report_impl.h - shared by report.c and report_numbers.c
 */
#ifndef DAEMON_ADMIN_REPORT_IMPL_H
#define DAEMON_ADMIN_REPORT_IMPL_H

#include <jansson.h>
#include <stdint.h>

struct engine;
struct reserve;
struct device_info;

json_t *report_owners(const struct reserve *r);
json_t *report_credits(const struct device_info *v);
uint64_t report_protected_drops(struct engine *e);

#endif
