/*
 * volume.c - attach, detach, save and reload: the commands that change which volumes there are
 *
 * A volume has the same options here as keys in the file (sluice.yaml(5)), with '-' for '_'. They
 * are passed on as they were typed: the daemon reads them by the rules of the file and names the
 * key that is wrong, so there is one set of rules.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/print.h"

#define CHANGE_MS 120000 /* attach and detach: the daemon's own deadlines are shorter */

/* Letters of main.c's options, and the parameters they are for. */
static const struct {
	char letter;
	char kind; /* 't' text, 'n' number, 'f' flag */
	const char *key;
} params[] = {
	{'n', 't', "name"},
	{'r', 'f', "read_only"},
	{'C', 'n', "connections"},
	{'q', 'n', "queue_depth"},
	{'i', 't', "io_size_max"},
	{'d', 't', "on_dead"},
	{'u', 't', "unstable"},
	{'D', 't', "dead_timeout"},
	{'t', 't', "request_timeout"},
	{'T', 't', "connect_timeout"},
	{'m', 't', "copy"},
	{'g', 't', "congestion_control"},
	{'S', 'f', "save"},
	{'L', 'f', "lose_swap"},
};

/* A count as a number; what is none is sent as text, and the daemon says what it must be. */
json_t *cli_count(const char *text)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	return errno || end == text || *end ? json_string(text) : json_integer(n);
}

bool cli_param_store(json_t *to, int letter, const char *value)
{
	for (size_t i = 0; i < sizeof(params) / sizeof(*params); i++) {
		if (params[i].letter != letter)
			continue;
		json_object_set_new(to, params[i].key,
			params[i].kind == 'f'	? json_true()
			: params[i].kind == 'n' ? cli_count(value)
						: json_string(value));
		return true;
	}
	return false;
}

int cli_attach(const struct cli *cli)
{
	json_t *to = json_deep_copy(cli->params), *uris = json_array();

	json_object_set_new(to, "uri", json_string(cli->args[0]));
	for (int i = 1; i < cli->arg_count; i++)
		json_array_append_new(uris, json_string(cli->args[i]));
	if (json_array_size(uris) > 0)
		json_object_set(to, "uris", uris);
	json_decref(uris);
	return cli_ask(cli, "attach", to, CHANGE_MS, print_attached);
}

/* A path of a device by whatever link it was given, as the kernel calls it; all else as it is. */
static const char *device_path(const char *name, char resolved[PATH_MAX])
{
	return name[0] == '/' && realpath(name, resolved) ? resolved : name;
}

int cli_detach(const struct cli *cli)
{
	json_t *to = json_deep_copy(cli->params);
	char resolved[PATH_MAX];

	json_object_set_new(to, "name", json_string(device_path(cli->args[0], resolved)));
	json_object_set_new(to, "force", json_boolean(cli->is_force));
	return cli_ask(cli, "detach", to, CHANGE_MS, print_warning);
}

int cli_save(const struct cli *cli)
{
	return cli_ask(cli, "save",
		cli->arg_count ? json_pack("{s:s}", "name", cli->args[0]) : NULL, CHANGE_MS,
		print_saved);
}

int cli_reload(const struct cli *cli)
{
	return cli_ask(cli, "reload", NULL, CHANGE_MS, print_reloaded);
}
