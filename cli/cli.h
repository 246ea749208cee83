/*
 * cli.h - what the parts of `sluice` share: the command line, and how a command ends
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include "config/error.h"

#define STATUS_GOOD   0
#define STATUS_FAILED 1
#define STATUS_USAGE  2

/* The command line, read. Strings are argv's. */
struct cli {
	const char *socket, *config;
	json_t *params; /* what options say to a method, never NULL */
	bool is_json, is_force, is_keep, is_openmetrics;
	const char **args; /* after the command's name and options */
	int arg_count;
};

/*
 * Asks sluiced and prints the answer: as JSON if so asked, else by @print (which may be NULL).
 * @params is eaten and may be NULL. Out: the exit status.
 */
int cli_ask(const struct cli *cli, const char *method, json_t *params, int timeout_ms,
	void (*print)(const json_t *result));

/* Prints @json on stdout as one line. Answers STATUS_GOOD. */
int cli_print_json(const json_t *json);

/*
 * Prints what went wrong: on stderr, and with --json as an object on stdout, with the code of @rc,
 * a negative errno. STATUS_FAILED.
 */
int cli_fail(const struct cli *cli, int rc, const struct error *err);

/* "sluice: …; `sluice -h` lists …" on stderr. STATUS_USAGE. */
__attribute__((format(printf, 1, 2))) int cli_usage(const char *fmt, ...);

/* @text as a whole number, or as it is if it is none. A new reference. */
json_t *cli_count(const char *text);
/* Puts the option of main.c's @letter into @to, under the key of its parameter. False: it is for no
 * parameter. */
bool cli_param_store(json_t *to, int letter, const char *value);

/* Commands with a file of their own. Each answers the exit status. */
int cli_attach(const struct cli *cli);
int cli_detach(const struct cli *cli);
int cli_save(const struct cli *cli);
int cli_reload(const struct cli *cli);
int cli_doctor(const struct cli *cli);
int cli_top(const struct cli *cli);
/* The daemon's path in @buf, or its bare name for execvp() to find in PATH. In bench.c. */
const char *cli_daemon_find(char *buf, size_t buf_bytes);
/* @argv is NULL-ended and starts behind the word "bench". Returns only on failure. */
int cli_bench(bool is_json, char **argv);

#endif
