/*
 * main.c - sluice: the control client
 *
 * A table of commands; each says which options it knows and how many arguments it takes, so a
 * wrong command line is refused here, with status 2, before the daemon is contacted. Most commands
 * are one question to the daemon and one way to print the answer. `doctor` also works without a
 * daemon, because it is needed most when there is none, and `bench` hands over to sluiced, because
 * this program links no DPDK.
 */
#include <assert.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "cli/command.h"
#include "cli/print.h"
#include "cli/rpc.h"
#include "config/config.h"
#include "config/config_nearest.h"

#define READ_MS	  10000
#define CHANGE_MS 120000 /* attach and detach: the daemon's own deadlines are shorter */

const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"socket", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"force", no_argument, NULL, 'f'},
	{"lose-swap", no_argument, NULL, 'L'},
	{"name", required_argument, NULL, 'n'},
	{"config", required_argument, NULL, 'c'},
	{"openmetrics", no_argument, NULL, 'o'},
	{"keep", no_argument, NULL, 'k'},
	{"read-only", no_argument, NULL, 'r'},
	{"connections", required_argument, NULL, 'C'},
	{"queue-depth", required_argument, NULL, 'q'},
	{"io-size-max", required_argument, NULL, 'i'},
	{"on-dead", required_argument, NULL, 'd'},
	{"unstable", required_argument, NULL, 'u'},
	{"dead-timeout", required_argument, NULL, 'D'},
	{"request-timeout", required_argument, NULL, 't'},
	{"connect-timeout", required_argument, NULL, 'T'},
	{"copy", required_argument, NULL, 'm'},
	{"congestion-control", required_argument, NULL, 'g'},
	{"save", no_argument, NULL, 'S'},
	{NULL, 0, NULL, 0},
};

/* ---- commands ---- */

static int run_status(const struct cli *cli)
{
	return cli_ask(cli, "status", NULL, READ_MS, print_status);
}

static int run_list(const struct cli *cli)
{
	return cli_ask(cli, "list", NULL, READ_MS, print_list);
}

static int run_stats(const struct cli *cli)
{
	if (!cli->is_openmetrics)
		return cli_ask(cli, "stats", NULL, READ_MS, print_stats);
	return cli_ask(cli, "stats", json_pack("{s:s}", "format", "openmetrics"), READ_MS,
		print_openmetrics);
}

static int run_drops(const struct cli *cli)
{
	bool is_all = cli->arg_count && strcmp(cli->args[0], "all") == 0;

	if (cli->arg_count && !is_all)
		return cli_usage("drops %s is not known; give drops or drops all", cli->args[0]);
	return cli_ask(cli, "drops", NULL, READ_MS, is_all ? print_drops_all : print_drops);
}

static int run_reserve(const struct cli *cli)
{
	const char *view = cli->arg_count ? cli->args[0] : "";

	if (!*view)
		return cli_ask(cli, "reserve", NULL, READ_MS, print_reserve);
	if (strcmp(view, "explain") == 0)
		return cli_ask(cli, "reserve.explain", NULL, READ_MS, print_reserve_explain);
	if (strcmp(view, "leaks") == 0)
		return cli_ask(cli, "reserve.leaks", NULL, READ_MS, print_reserve_leaks);
	return cli_usage(
		"reserve %s is not known; give reserve, reserve explain or reserve leaks", view);
}

static int run_probe(const struct cli *cli)
{
	return cli_ask(
		cli, "probe", json_pack("{s:s}", "uri", cli->args[0]), CHANGE_MS, print_probe);
}

#if SLUICE_FAULT_INJECTION
static int run_fault(const struct cli *cli)
{
	bool is_on = strcmp(cli->args[1], "on") == 0;

	if (strcmp(cli->args[0], "level") == 0)
		return cli_ask(cli, "fault.level", json_pack("{s:s}", "level", cli->args[1]),
			READ_MS, print_level);
	if (strcmp(cli->args[0], "leak") == 0 && cli->arg_count == 3)
		return cli_ask(cli, "fault.leak",
			json_pack("{s:s s:o}", "owner", cli->args[1], "count",
				cli_count(cli->args[2])),
			READ_MS, NULL);
	if (strcmp(cli->args[0], "refill") == 0)
		return cli_ask(cli, "fault.refill",
			json_pack("{s:o}", "count", cli_count(cli->args[1])), READ_MS, NULL);
	if (strcmp(cli->args[0], "starve") != 0 || (!is_on && strcmp(cli->args[1], "off") != 0))
		return cli_usage(
			"fault %s %s is not known; give starve on|off, level green|yellow|red|off, "
			"leak OWNER N, or refill N",
			cli->args[0], cli->args[1]);
	return cli_ask(
		cli, "fault.starve", json_pack("{s:b}", "on", is_on), READ_MS, print_starved);
}
#endif

static int run_shutdown(const struct cli *cli)
{
	json_t *params = json_pack("{s:b}", "keep", cli->is_keep);

	return cli_ask(cli, "shutdown", params, READ_MS, NULL);
}

static int run_version(const struct cli *cli)
{
	json_t *version = json_pack("{s:s}", "version", SLUICE_VERSION);

	if (cli->is_json)
		cli_print_json(version);
	else
		puts("sluice " SLUICE_VERSION);
	json_decref(version);
	return STATUS_GOOD;
}

#define ATTACH_OPTIONS "nrCqidDutTmgS"

const struct command commands[] = {
	{"status", "", "", "the daemon, its ports, reserve and volumes", 0, 0, run_status},
	{"attach", "URI... [OPTION...]", ATTACH_OPTIONS,
		"create a block device for an export; prints its "
		"path",
		1, VOLUME_URI_MAX, cli_attach},
	{"detach", "NAME [--force [--lose-swap]] [--save]", "fLS",
		"remove a block device; --save: and its saved file", 1, 1, cli_detach},
	{"save", "[NAME]", "", "save attached volumes in volumes_dir, for the next start", 0, 1,
		cli_save},
	{"reload", "", "", "read the configuration again; SIGHUP does the same", 0, 0, cli_reload},
	{"list", "", "", "the volumes", 0, 0, run_list},
	{"stats", "[--openmetrics]", "o", "counters of ports, workers, volumes and pools", 0, 0,
		run_stats},
	{"drops", "[all]", "", "what was dropped, held, refused or failed, and why", 0, 1,
		run_drops},
	{"reserve", "[explain|leaks]", "",
		"the packet reserve: its owners, and the sum that "
		"sizes it",
		0, 1, run_reserve},
	{"doctor", "[-c FILE]", "c", "check this machine; what is missing and how to fix it", 0, 0,
		cli_doctor},
	{"probe", "URI", "", "what a server announces for an export; its list of exports", 1, 1,
		run_probe},
	{"bench", "[-c FILE] URI [OPTION...]", "",
		"measure an export; takes sluiced --bench's options", 0, 0, NULL},
#if SLUICE_FAULT_INJECTION /* a daemon of another build refuses it */
	{"fault", "starve|level|leak|refill ...", "",
		"starve on|off, level green|yellow|red|off, leak OWNER N, refill N", 2, 3,
		run_fault},
#endif
	{"top", "", "", "a live view", 0, 0, cli_top},
	{"shutdown", "[--keep]", "k", "end the daemon; devices in use stay for the next, or all", 0,
		0, run_shutdown},
	{"completion", "bash|zsh|fish", "", "the completion script for that shell", 1, 1,
		cli_completion},
	{"version", "", "", "the version of this program", 0, 0, run_version},
	{NULL, NULL, NULL, NULL, 0, 0, NULL},
};

/* ---- the command line ---- */

static void help_print(FILE *to)
{
	fputs("usage: sluice [--json] [--socket PATH] COMMAND [ARGUMENT...]\n\n", to);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-10s %-26s %s\n", c->name, c->args, c->help);
	fputs("\n"
	      "  --json         print what the daemon answered\n"
	      "  --socket PATH  its control socket (default " CONFIG_SOCKET_DEFAULT ")\n"
	      "  -c, --config FILE  of doctor and bench: the configuration "
	      "(default " CONFIG_PATH_DEFAULT ")\n"
	      "  -h, --help     this, or after a command: what it takes\n"
	      "\n"
	      "  Options of attach, as keys of a volume in sluice.yaml(5): --name NAME, "
	      "--read-only, --connections N,\n"
	      "  --queue-depth N, --io-size-max SIZE, --on-dead hold|fail, --dead-timeout TIME,\n"
	      "  --unstable trust|through, --request-timeout TIME, --connect-timeout TIME,\n"
	      "  --copy auto|default|user, --congestion-control cubic|newreno|dctcp;\n"
	      "  --save keeps it for the next start.\n"
	      "\n"
	      "  -V, --version  the version of this program\n"
	      "\n"
	      "Status: 0 success, 1 failure, 2 usage error. More in sluice(1).\n",
		to);
}

static const struct command *command_lookup(const char *name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static int command_unknown(const char *name)
{
	const char *near = config_nearest(name, commands, sizeof(*commands));

	if (near)
		return cli_usage("there is no command \"%s\"; did you mean %s?", name, near);
	return cli_usage("there is no command \"%s\"", name);
}

/* Stores option @opt. False if it is none that may stand here. */
static bool option_store(struct cli *cli, const struct command *command, int opt)
{
	if (opt == 'j')
		cli->is_json = true;
	else if (opt == 's')
		cli->socket = optarg;
	else if (!command || !strchr(command->options, opt))
		return false;
	else if (opt == 'f')
		cli->is_force = true;
	else if (opt == 'k')
		cli->is_keep = true;
	else if (opt == 'c')
		cli->config = optarg;
	else if (opt == 'o')
		cli->is_openmetrics = true;
	else
		return cli_param_store(cli->params, opt, optarg);
	return true;
}

static int command_help(const struct command *command)
{
	printf("usage: sluice [--json] [--socket PATH] %s%s%s\n%s\n", command->name,
		*command->args ? " " : "", command->args, command->help);
	return STATUS_GOOD;
}

/*
 * The option getopt_long() stopped at: @opt is its letter, or 0 for an unknown word, which is the
 * argument read last. Where letters stand together (-xh) that argument is not behind us yet, so
 * letters are named by themselves.
 */
static const char *option_name(int opt, char **argv, char text[3])
{
	if (opt == 0 || strncmp(argv[optind - 1], "--", 2) == 0)
		return argv[optind - 1];
	for (const struct option *o = long_options; o->name; o++) {
		if (o->val == opt && optind >= 2 && strncmp(argv[optind - 2], "--", 2) == 0)
			return argv[optind - 2];
	}
	text[0] = '-';
	text[1] = (char)opt;
	text[2] = '\0';
	return text;
}

/* Reads what stands behind the command's name. Out: -1 to run it, else the exit status. */
static int command_parse(struct cli *cli, const struct command *command, int argc, char **argv)
{
	char text[3];
	int opt;

	optind = 0; /* glibc: forget that the options before the command had to come first */
	while ((opt = getopt_long(argc, argv, ":hfn:c:", long_options, NULL)) != -1) {
		if (opt == 'h')
			return command_help(command);
		if (opt == ':')
			return cli_usage("%s needs a value", option_name(optopt, argv, text));
		if (opt == '?' || !option_store(cli, command, opt))
			return cli_usage("%s has no option %s; usage: sluice %s%s%s", command->name,
				option_name(opt == '?' ? optopt : opt, argv, text), command->name,
				*command->args ? " " : "", command->args);
	}
	cli->args = (const char **)(uintptr_t)(argv + optind);
	cli->arg_count = argc - optind;
	if (cli->arg_count >= command->arg_min && cli->arg_count <= command->arg_max)
		return -1;
	return cli_usage("%s %s; usage: sluice %s%s%s", command->name,
		cli->arg_count < command->arg_min ? "lacks an argument" : "has too many arguments",
		command->name, *command->args ? " " : "", command->args);
}

/* Options before the command. Out: -1 with optind at the command, else the exit status. */
static int global_parse(struct cli *cli, int argc, char **argv)
{
	char text[3];
	int opt;

	while ((opt = getopt_long(argc, argv, "+:hV", long_options, NULL)) != -1) {
		if (opt == 'h') {
			help_print(stdout);
			return STATUS_GOOD;
		}
		if (opt == 'V')
			return run_version(cli);
		if (opt == ':')
			return cli_usage("%s needs a value", option_name(optopt, argv, text));
		if (opt == '?' || !option_store(cli, NULL, opt))
			return cli_usage("there is no option %s before the command",
				option_name(opt == '?' ? optopt : opt, argv, text));
	}
	if (optind < argc)
		return -1;
	help_print(stderr);
	return STATUS_USAGE;
}

/* Everything from the words of the command line to the exit status. */
static int run(struct cli *cli, int argc, char **argv)
{
	const struct command *command;
	int status = global_parse(cli, argc, argv), at = optind;

	if (status >= 0)
		return status;
	command = command_lookup(argv[at]);
	if (!command)
		return command_unknown(argv[at]);
	if (strcmp(command->name, "bench") == 0) {
		if (argv[at + 1] &&
			(strcmp(argv[at + 1], "-h") == 0 || strcmp(argv[at + 1], "--help") == 0))
			return command_help(command);
		return cli_bench(cli->is_json, argv + at + 1);
	}
	status = command_parse(cli, command, argc - at, argv + at);
	return status < 0 ? command->run(cli) : status;
}

int main(int argc, char **argv)
{
	struct cli cli = {.socket = CONFIG_SOCKET_DEFAULT, .params = json_object()};
	int status = run(&cli, argc, argv);

	json_decref(cli.params);
	/* A full disk or a closed pipe must not look like success to a script. */
	if (fflush(stdout) && status == STATUS_GOOD)
		status = STATUS_FAILED;
	return status;
}
