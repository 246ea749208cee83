/*
 * test_tls_creds.c - files of keys: which are taken, which refused, and with which remedy
 *
 * Each case makes its files in a folder of its own; certificates are of tls_server.c's making.
 */
#include "tests/unit/nbd_client/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/tls/tls_creds.h"
#include "tests/unit/nbd_client/tls_server.h"

static char dir[] = "/tmp/test_tls_creds_XXXXXX";

struct text {
	char bytes[512];
};

static struct text path(const char *name)
{
	struct text t;

	snprintf(t.bytes, sizeof(t.bytes), "%s/%s", dir, name);
	return t;
}

static void put(const char *name, const char *text, mode_t mode)
{
	struct text p = path(name);
	FILE *file = fopen(p.bytes, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(p.bytes, mode), 0);
}

/* @want NULL: taken; else refused with this in the sentence. A name of NULL: not given. */
static void load(const char *ca, const char *cert, const char *key, const char *psk,
	const char *user, const char *want)
{
	struct text ca_path = path(ca ? ca : ""), cert_path = path(cert ? cert : ""),
		    key_path = path(key ? key : ""), psk_path = path(psk ? psk : "");
	struct tls_creds_files files = {
		.ca = ca ? ca_path.bytes : NULL,
		.cert = cert ? cert_path.bytes : NULL,
		.key = key ? key_path.bytes : NULL,
		.psk = psk ? psk_path.bytes : NULL,
		.username = user,
	};
	struct error err = {""};
	struct tls_creds *c = tls_creds_load(&files, &err);

	if ((c != NULL) != (want == NULL) || (want && !strstr(err.text, want)))
		print_error("'%s' instead of '%s'\n", err.text, want ? want : "success");
	assert_int_equal(c != NULL, want == NULL);
	if (want)
		assert_has(err.text, want);
	tls_creds_free(c);
}

static void keys_of_one_user_or_the_one_named_are_taken(void **state)
{
	put("one", "swap:abcdef01\n", 0600);
	load(NULL, NULL, NULL, "one", NULL, NULL);
	load(NULL, NULL, NULL, "one", "swap", NULL);
	load(NULL, NULL, NULL, "one", "root", "no key of user 'root'");
	put("two", "# keys\n\nalice:00ff00ff\r\nb:ob:12345678", 0400);
	load(NULL, NULL, NULL, "two", NULL, "keys of 2 users: say which with tls_username");
	load(NULL, NULL, NULL, "two", "alice", NULL);
	load(NULL, NULL, NULL, "two", "b:ob", NULL);
	put("none", "# no key\nswap\n:abcd\n", 0600);
	load(NULL, NULL, NULL, "none", NULL, "psktool -u NAME -p");
	put("odd", "swap:not hexadecimal\n", 0600);
	load(NULL, NULL, NULL, "odd", NULL, "four bytes or more in hexadecimal");
	load(NULL, NULL, NULL, "absent", NULL, "No such file");
}

static void secrets_open_to_others_are_refused_with_the_command(void **state)
{
	static const mode_t open_modes[] = {0640, 0604, 0660, 0601, 0644, 0777};
	char command[600];

	for (unsigned i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
		put("open", "swap:abcdef01\n", open_modes[i]);
		snprintf(command, sizeof(command), "chmod 600 %s", path("open").bytes);
		load(NULL, NULL, NULL, "open", NULL, command);
	}
	assert_int_equal(chmod(path("client.key").bytes, 0640), 0);
	load("ca.pem", "client.pem", "client.key", NULL, NULL, "chmod 600");
	assert_int_equal(chmod(path("client.key").bytes, 0400), 0);
	load("ca.pem", "client.pem", "client.key", NULL, NULL, NULL);
}

static void a_secret_of_another_user_is_refused(void **state)
{
	if (geteuid() != 0)
		skip();
	put("foreign", "swap:abcdef01\n", 0600);
	assert_int_equal(chown(path("foreign").bytes, 65534, 65534), 0);
	load(NULL, NULL, NULL, "foreign", NULL, "belongs to another user");
}

static void certificates_are_taken_whole_or_not(void **state)
{
	load("ca.pem", NULL, NULL, NULL, NULL, NULL);
	load("ca.key", NULL, NULL, NULL, NULL, "no certificate in PEM form");
	load("absent", NULL, NULL, NULL, NULL, "No such file");
	load("ca.pem", "client.pem", NULL, NULL, NULL, "name both or neither");
	load("ca.pem", NULL, "client.key", NULL, NULL, "name both or neither");
	load("ca.pem", "client.pem", "ca.key", NULL, NULL, "not a certificate and its key");
	load("ca.pem", "client.key", "client.key", NULL, NULL, "not a certificate and its key");
	put("empty", "", 0600);
	load("empty", NULL, NULL, NULL, NULL, "no certificate in PEM form");
	load("", NULL, NULL, NULL, NULL, "no regular file");
}

static void the_two_ways_exclude_each_other(void **state)
{
	put("one", "swap:abcdef01\n", 0600);
	load("ca.pem", NULL, NULL, "one", NULL, "tls_psk excludes");
	load(NULL, "client.pem", "client.key", "one", NULL, "tls_psk excludes");
	load("ca.pem", NULL, NULL, NULL, "swap", "tls_username needs tls_psk");
}

static int world_make(void **state)
{
	static const struct tls_cert_wish wishes[] = {
		{"ca", NULL, NULL, NULL, -86400, 86400},
		{"client", "ca", NULL, NULL, -86400, 86400},
	};

	if (!mkdtemp(dir))
		return -1;
	for (unsigned i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		tls_cert_make(dir, &wishes[i]);
	return 0;
}

static int world_end(void **state)
{
	return tls_dir_remove(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_one_user_or_the_one_named_are_taken),
		cmocka_unit_test(secrets_open_to_others_are_refused_with_the_command),
		cmocka_unit_test(a_secret_of_another_user_is_refused),
		cmocka_unit_test(certificates_are_taken_whole_or_not),
		cmocka_unit_test(the_two_ways_exclude_each_other),
	};

	return cmocka_run_group_tests(tests, world_make, world_end);
}
