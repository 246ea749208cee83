/*
 * print.h - each answer of sluiced as a person reads it, on stdout
 *
 * Every one tolerates fields that are missing.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>

void print_status(const json_t *status);
void print_list(const json_t *volumes);
void print_stats(const json_t *stats);
void print_drops(const json_t *drops);	   /* rows that are not 0 */
void print_drops_all(const json_t *drops); /* every reason there is */
void print_openmetrics(const json_t *text);
void print_reserve(const json_t *pools);
void print_reserve_explain(const json_t *pools);
void print_reserve_leaks(const json_t *leaks);
void print_probe(const json_t *facts);
void print_doctor(const json_t *lines);
void print_attached(const json_t *result); /* the device's path and no more: for $(…) */
void print_warning(const json_t *result);  /* on stderr, and nothing else */
void print_saved(const json_t *result);
void print_reloaded(const json_t *result);
void print_level(const json_t *result);
void print_starved(const json_t *result);

/* @result itself if it is an array, else the array it has under @key; NULL if neither. */
const json_t *print_rows(const json_t *result, const char *key);

#endif
