/*
 * doctor.c - sluice doctor: what stands between this machine and a running sluiced
 *
 * A running daemon knows its configuration best, so it is asked first. Without one (the usual case
 * for this command) the same list is made here, for the file given by -c, or the default one if it
 * is there. A file with a mistake is the first finding. Status 1 if something required is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rpc.h"
#include "config/host/host.h"

#define READ_MS 10000

static json_t *line_json(const struct host_check_line *line)
{
	return json_pack("{s:s s:b s:b s:s s:s}", "what", line->what, "good", line->is_good,
		"required", line->is_required, "text", line->text, "remedy", line->remedy);
}

/* The list as this machine gives it. @cfg may be NULL. */
static json_t *local_lines(const struct config *cfg)
{
	struct host_check_line lines[HOST_CHECK_LINE_MAX];
	unsigned count = host_doctor(cfg, lines, HOST_CHECK_LINE_MAX);
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, line_json(&lines[i]));
	return list;
}

/*
 * How much memory the daemon will need for the file at @path is known to the daemon, which links
 * what the sum is made of. Out: MiB, or 0 if it is not there or does not say.
 */
static uint32_t memory_ask(const char *path)
{
	char buf[4200], text[32] = "";
	const char *const args[] = {
		cli_daemon_find(buf, sizeof(buf)), "-c", path, "--memory", NULL};
	int ends[2], null;
	ssize_t got;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return 0;
	child = fork();
	if (child == 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(ends[1], STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execvp(args[0], (char *const *)(uintptr_t)args);
		_exit(127);
	}
	close(ends[1]);
	got = child > 0 ? read(ends[0], text, sizeof(text) - 1) : 0;
	close(ends[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return got > 0 ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* Devices that hang because no daemon of that run directory runs. */
static void left_add(json_t *list, const char *run_dir)
{
	struct host_check_line *lines = calloc(HOST_LEFT_LINE_MAX, sizeof(*lines));
	unsigned count = lines ? host_left(run_dir, lines, HOST_LEFT_LINE_MAX) : 0;

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, line_json(&lines[i]));
	free(lines);
}

/* The configuration as a line of its own: good, wrong, or not there. */
static json_t *config_line(const char *path, int rc, const struct error *why)
{
	struct host_check_line line = {
		.what = "configuration", .is_good = rc == 0, .is_required = true, .rc = rc};

	if (rc == 0)
		snprintf(line.text, sizeof(line.text), "%s is good", path);
	else
		snprintf(line.text, sizeof(line.text), "%.255s", why->text);
	return line_json(&line);
}

static json_t *local_doctor(const struct cli *cli)
{
	const char *path = cli->config ? cli->config : CONFIG_PATH_DEFAULT;
	struct config *cfg = calloc(1, sizeof(*cfg));
	bool has_file = cli->config || access(path, F_OK) == 0;
	struct error why = {""};
	json_t *list;
	int rc = -ENOMEM;

	if (cfg && has_file)
		rc = config_load(path, cfg, &why);
	if (rc == 0)
		cfg->memory_plan_mib = memory_ask(path);
	list = local_lines(rc == 0 ? cfg : NULL);
	left_add(list, rc == 0 ? cfg->run_dir : CONFIG_RUN_DIR_DEFAULT);
	if (has_file)
		json_array_insert_new(list, 0, config_line(path, rc, &why));
	free(cfg);
	return list;
}

/* Is nothing missing that is required? */
static bool is_ready(const json_t *lines)
{
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const json_t *line = json_array_get(lines, i);

		if (json_is_true(json_object_get(line, "required")) &&
			!json_is_true(json_object_get(line, "good")))
			return false;
	}
	return true;
}

int cli_doctor(const struct cli *cli)
{
	struct error err = {""};
	json_t *lines = NULL;
	int status;

	if (cli->config || rpc_call(cli->socket, "doctor", NULL, READ_MS, &lines, &err))
		lines = local_doctor(cli);
	if (cli->is_json)
		cli_print_json(lines);
	else
		print_doctor(lines);
	status = is_ready(print_rows(lines, "lines")) ? STATUS_GOOD : STATUS_FAILED;
	json_decref(lines);
	return status;
}
