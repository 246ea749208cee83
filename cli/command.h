/*
 * command.h - the table of commands, as main.c runs it and completion.c describes it
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <getopt.h>
#include "cli/cli.h"

struct command {
	const char *name;
	const char *args;    /* for the usage line; words with '|' between them are alternatives */
	const char *options; /* letters it knows beside the global ones */
	const char *help;
	int arg_min, arg_max;
	int (*run)(const struct cli *cli);
};

/* Ends with an entry whose name is NULL. Static memory. */
extern const struct command commands[];
/* getopt_long's table; a letter of command.options is an option's val. A zero entry ends it. */
extern const struct option long_options[];

/* `sluice completion bash|zsh|fish`: prints the script for that shell. Out: the exit status. */
int cli_completion(const struct cli *cli);

#endif
