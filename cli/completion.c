/*
 * completion.c - completion scripts for bash, zsh and fish, out of the table of commands
 *
 * The build runs `sluice completion SHELL` and installs what it prints, so a command or an option
 * that is added to the table of main.c is completed without another change. What an argument can be
 * is read from the usage text: words in small letters are alternatives, NAME is a volume (the
 * shell asks `sluice list --json` for those of the running daemon), FILE and PATH are files.
 *
 * The tests let each shell complete with its script.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/command.h"

#define WORDS_BYTES 256

/* Prints the names of volumes, one a line; none without a daemon. */
#define VOLUMES_FUNCTION                                                                           \
	"_sluice_volumes() {\n"                                                                    \
	"    sluice list --json 2>/dev/null | sed 's/\"name\": *\"/\\n&/g' |\n"                   \
	"        sed -n 's/^\"name\": *\"\\([^\"]*\\)\".*/\\1/p'\n"                                \
	"}"

/* Values of options that have a few. */
static const struct {
	int letter;
	const char *words;
} option_words[] = {
	{'d', "hold fail"},
	{'m', "auto default user"},
	{'g', "cubic newreno dctcp"},
};

static const char *values_of(int letter)
{
	for (size_t i = 0; i < sizeof(option_words) / sizeof(*option_words); i++) {
		if (option_words[i].letter == letter)
			return option_words[i].words;
	}
	return NULL;
}

static bool takes_file(int letter)
{
	return letter == 'c' || letter == 's';
}

static bool knows(const struct command *c, int letter)
{
	return strchr("jsh", letter) || strchr(c->options, letter);
}

/* The alternatives in @c's usage text with blanks between them: "[explain|leaks]" -> "explain
 * leaks". Options and what stands for a value are left out. */
static const char *words_of(const struct command *c, char words[WORDS_BYTES])
{
	char args[WORDS_BYTES], *save = NULL, *word;

	words[0] = '\0';
	snprintf(args, sizeof(args), "%s", c->args);
	for (word = strtok_r(args, " []", &save); word; word = strtok_r(NULL, " []", &save)) {
		if (strspn(word, "abcdefghijklmnopqrstuvwxyz|") != strlen(word))
			continue;
		for (char *bar = word; (bar = strchr(bar, '|')); )
			*bar = ' ';
		snprintf(words, WORDS_BYTES, "%s", word);
	}
	return words;
}

static bool takes_volume(const struct command *c)
{
	return strncmp(c->args, "NAME", 4) == 0 || strncmp(c->args, "[NAME]", 6) == 0;
}

/* @text between single quotes, each of @specials behind a backslash, a quote as @quote. */
static void quoted_print(const char *text, const char *specials, const char *quote)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs(quote, stdout);
		else
			printf("%s%c", strchr(specials, *text) ? "\\" : "", *text);
	}
}

/* ---- bash ---- */

static void bash_options(const struct command *c)
{
	for (const struct option *o = long_options; o->name; o++) {
		if (knows(c, o->val))
			printf(" --%s", o->name);
	}
}

static void bash_values(void)
{
	for (const struct option *o = long_options; o->name; o++) {
		const char *words = values_of(o->val);

		if (words)
			printf("    --%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n"
			       "        return ;;\n",
				o->name, words);
		else if (takes_file(o->val))
			printf("    --%s) COMPREPLY=($(compgen -f -- \"$cur\"))\n"
			       "        return ;;\n",
				o->name);
		else if (o->has_arg)
			printf("    --%s) return ;;\n", o->name);
	}
}

static void print_bash(void)
{
	char words[WORDS_BYTES];

	puts("# bash completion of sluice(1), made by `sluice completion bash`\n" VOLUMES_FUNCTION
	     "\n"
	     "_sluice() {\n"
	     "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	     "    local command= i options= words=\n"
	     "    COMPREPLY=()\n"
	     "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "        case ${COMP_WORDS[i]} in\n"
	     "        --socket|-s) i=$((i + 1)) ;;\n"
	     "        -*) ;;\n"
	     "        *) command=${COMP_WORDS[i]}; break ;;\n"
	     "        esac\n"
	     "    done\n"
	     "    case $prev in");
	bash_values();
	puts("    esac\n    case $command in");
	printf("    '') options='--json --socket --help --version' words='");
	for (const struct command *c = commands; c->name; c++)
		printf("%s%s", c == commands ? "" : " ", c->name);
	puts("' ;;");
	for (const struct command *c = commands; c->name; c++) {
		printf("    %s) options='", c->name);
		bash_options(c);
		if (takes_volume(c))
			puts("' words=$(_sluice_volumes) ;;");
		else
			printf("' words='%s' ;;\n", words_of(c, words));
	}
	puts("    esac\n"
	     "    case $cur in\n"
	     "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")) ;;\n"
	     "    *) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
	     "    esac\n"
	     "}\n"
	     "complete -F _sluice sluice");
}

/* ---- zsh ---- */

static void zsh_option(const struct option *o)
{
	const char *words = values_of(o->val);

	printf(" \\\n            '--%s%s", o->name, o->has_arg ? "=:value:" : "[]");
	if (words)
		printf("(%s)", words);
	else if (takes_file(o->val))
		printf("_files");
	putchar('\'');
}

static void zsh_command(const struct command *c)
{
	char words[WORDS_BYTES];

	printf("        %s)\n            _arguments", c->name);
	for (const struct option *o = long_options; o->name; o++) {
		if (knows(c, o->val))
			zsh_option(o);
	}
	if (takes_volume(c))
		printf(" \\\n            '1:volume:_sluice_volume_words'");
	else if (*words_of(c, words))
		printf(" \\\n            '1:word:(%s)'", words);
	puts(" ;;");
}

static void print_zsh(void)
{
	puts("#compdef sluice\n"
	     "# zsh completion of sluice(1), made by `sluice completion zsh`\n" VOLUMES_FUNCTION
	     "\n"
	     "_sluice_volume_words() { compadd -- ${(f)\"$(_sluice_volumes)\"} }\n"
	     "_sluice() {\n"
	     "    local -a names\n"
	     "    local state line curcontext=\"$curcontext\"\n"
	     "    names=(");
	for (const struct command *c = commands; c->name; c++) {
		printf("        '%s:", c->name);
		quoted_print(c->help, ":\\", "'\\''");
		puts("'");
	}
	puts("    )\n"
	     "    _arguments -C '--json[]' '--socket=:socket:_files' '--help[]' '--version[]' \\\n"
	     "        '1: :->command' '*:: :->rest'\n"
	     "    case $state in\n"
	     "    command) _describe command names ;;\n"
	     "    rest)\n"
	     "        case $line[1] in");
	for (const struct command *c = commands; c->name; c++)
		zsh_command(c);
	puts("        esac ;;\n"
	     "    esac\n"
	     "}\n"
	     "if [ \"$funcstack[1]\" = _sluice ]; then _sluice \"$@\"; else compdef _sluice "
	     "sluice; fi");
}

/* ---- fish ---- */

static void fish_option(const char *when, const struct option *o)
{
	const char *words = values_of(o->val);

	printf("complete -c sluice -n '%s' -l %s", when, o->name);
	if (words)
		printf(" -x -a '%s'", words);
	else if (takes_file(o->val))
		printf(" -r -F");
	else if (o->has_arg)
		printf(" -x");
	putchar('\n');
}

static void print_fish(void)
{
	char words[WORDS_BYTES], when[WORDS_BYTES];

	puts("# fish completion of sluice(1), made by `sluice completion fish`\n"
	     "complete -c sluice -f\n"
	     "complete -c sluice -n __fish_use_subcommand -l json\n"
	     "complete -c sluice -n __fish_use_subcommand -l socket -r -F\n"
	     "complete -c sluice -n __fish_use_subcommand -l version\n"
	     "complete -c sluice -n __fish_use_subcommand -l help");
	for (const struct command *c = commands; c->name; c++) {
		printf("complete -c sluice -n __fish_use_subcommand -a %s -d '", c->name);
		quoted_print(c->help, "\\", "\\'");
		puts("'");
		snprintf(when, sizeof(when), "__fish_seen_subcommand_from %s", c->name);
		for (const struct option *o = long_options; o->name; o++) {
			if (knows(c, o->val))
				fish_option(when, o);
		}
		if (takes_volume(c))
			printf("complete -c sluice -n '%s' -a \"(%s)\"\n", when,
				"sluice list --json 2>/dev/null | string match -rag "
				"'\\\"name\\\": *\\\"([^\\\"]*)\\\"'");
		else if (*words_of(c, words))
			printf("complete -c sluice -n '%s' -a '%s'\n", when, words);
	}
}

int cli_completion(const struct cli *cli)
{
	const char *shell = cli->args[0];

	if (strcmp(shell, "bash") == 0)
		print_bash();
	else if (strcmp(shell, "zsh") == 0)
		print_zsh();
	else if (strcmp(shell, "fish") == 0)
		print_fish();
	else
		return cli_usage("completion %s is not known; give bash, zsh or fish", shell);
	return STATUS_GOOD;
}
