/*
 * cli.c - how a command ends: with an answer, a refusal, or a usage hint
 *
 * One place decides what goes where, so that every command behaves alike in a script: answers on
 * stdout, sentences about trouble on stderr, and with --json a JSON object on stdout in either
 * case.
 */
#include <assert.h>
#include <stdarg.h>
#include "cli/cli.h"
#include "cli/rpc.h"
#include "config/error_code.h"

int cli_print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
	return STATUS_GOOD;
}

int cli_fail(const struct cli *cli, int rc, const struct error *err)
{
	const struct error_code *code = error_code_of(rc);

	fprintf(stderr, "sluice: %s\n", err->text);
	if (cli->is_json) {
		json_t *json = json_pack("{s:{s:i s:s s:s}}", "error", "code", code->code, "name",
			code->name, "message", err->text);

		cli_print_json(json);
		json_decref(json);
	}
	return STATUS_FAILED;
}

int cli_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("sluice: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (`sluice -h` lists all)\n", stderr);
	return STATUS_USAGE;
}

int cli_ask(const struct cli *cli, const char *method, json_t *params, int timeout_ms,
	void (*print)(const json_t *result))
{
	struct error err = {""};
	json_t *result;
	int rc = rpc_call(cli->socket, method, params, timeout_ms, &result, &err);

	if (rc)
		return cli_fail(cli, rc, &err);
	if (cli->is_json)
		cli_print_json(result);
	else if (print)
		print(result);
	json_decref(result);
	return STATUS_GOOD;
}
