/*
 * test_nbd_uri.c - URIs good and bad, and that every place a URI comes in by says the same of it
 *
 * Three ways in: the parser itself, a configuration file, and the bare URI of attach, probe and
 * bench. Each case goes by all of them.
 */
#include "tests/unit/config/yaml_file.h"
#include "config/nbd_uri.h"

struct good {
	const char *text, *host, *export_name, *user;
	uint16_t port;
	const char *ignored;
};

static const struct good good_cases[] = {
	{"nbd://10.0.0.2", "10.0.0.2", "", "", 10809, ""},
	{"nbd://10.0.0.2/", "10.0.0.2", "", "", 10809, ""},
	{"nbd://10.0.0.2?", "10.0.0.2", "", "", 10809, ""},
	{"NBD://host:10900/disk", "host", "disk", "", 10900, ""},
	{"nBd://h/", "h", "", "", 10809, ""},
	{"nbd://host:/disk", "host", "disk", "", 10809, ""},
	{"nbd://[fd00::2]:1/a/b", "fd00::2", "a/b", "", 1, ""},
	{"nbd://[fd00::2]:/a", "fd00::2", "a", "", 10809, ""},
	{"nbd://[fd00::2]", "fd00::2", "", "", 10809, ""},
	{"nbd://@host/a", "host", "a", "", 10809, ""},
	{"nbd://me@host:65535//slash", "host", "/slash", "me", 65535, "user name"},
	{"nbd://host/with%20space%2f", "host", "with space/", "", 10809, ""},
	{"nbd://host/a/b:c@d", "host", "a/b:c@d", "", 10809, ""},
	{"nbd://ho%73t/%C3%A9", "host", "\xc3\xa9", "", 10809, ""},
	{"nbd://host/\xc3\xa9", "host", "\xc3\xa9", "", 10809, ""},
	{"nbd://host/a?&", "host", "a", "", 10809, ""},
	{"nbd://host/a?exprt=b", "host", "a", "", 10809, "'exprt' is not supported"},
	{"nbd://host/a?x-try", "host", "a", "", 10809, "'x-try'"},
	{"nbd://host/a?socke%74s=1;b=2", "host", "a", "", 10809, "'sockets'"},
};

static const char *const bad_cases[][2] = {
	{"10.0.0.2", "\"10.0.0.2\" is not an NBD URI"},
	{"nbd:/host", "\"nbd:/host\" is not an NBD URI"},
	{"http://host/", "\"http://host/\" is not an NBD URI"},
	{"nb://host/", "\"nb://host/\" is not an NBD URI"},
	{"/x?y=nbd://h/", "\"/x?y=nbd://h/\" is not an NBD URI"},
	{"nbd+unix:///disk?socket=/tmp/s", "a Unix socket has no packets"},
	{"nbds+unix:///disk", "a Unix socket has no packets"},
	{"NBD+UNIX:///disk", "a Unix socket has no packets"},
	{"nbd+vsock://2/disk", "nbd+vsock: that transport has no packets"},
	{"nbds://host/disk", "nbds: TLS is not supported"},
	{"NBDS://host/disk", "nbds: TLS is not supported"},
	{"nbd://h/a?tls-type=x509", "tls-type: TLS is not supported"},
	{"nbd://h/a?x=1&tls-verify-peer=1", "tls-verify-peer: TLS is not supported"},
	{"nbd://h/a?TLS-Type=psk", "TLS-Type: TLS is not supported"},
	{"nbd://h/a?t%6cs-psk-file=/k", "tls-psk-file: TLS is not supported"},
	{"nbd://h/a?tls_type=anon", "tls_type: TLS is not supported"},
	{"nbd://me:secret@h/a", "the URI has a password"},
	{"nbd://h/a?socket=/x", "socket: a Unix socket has no packets"},
	{"nbd://h/a?Socket", "socket: a Unix socket has no packets"},
	{"nbd:///disk", "the URI has no host"},
	{"nbd://", "the URI has no host"},
	{"nbd://:10809/disk", "the URI has no host"},
	{"nbd://@/disk", "the URI has no host"},
	{"nbd://[]/x", "the URI has no host"},
	{"nbd://host:0/", "the port after ':'"},
	{"nbd://host:65536/", "the port after ':'"},
	{"nbd://host:99999999999999999999/", "the port after ':'"},
	{"nbd://host:10x/", "the port after ':'"},
	{"nbd://host:-1/", "the port after ':'"},
	{"nbd://fd00::2/", "an IPv6 address needs brackets"},
	{"nbd://[fd00::2/", "the host's [ has no ]"},
	{"nbd://[fd00::2]x/", "the host's [ has no ]"},
	{"nbd://[host]/", "\"host\" in [] is not an IPv6 address"},
	{"nbd://host/%", "'%' in the export's name"},
	{"nbd://host/%4", "'%' in the export's name"},
	{"nbd://host/%zz", "'%' in the export's name"},
	{"nbd://h%zz/", "'%' in the host"},
	{"nbd://host/a?%zz=1", "'%' in the name of a parameter"},
	{"nbd://host/a%00b", "%00 in the export's name"},
	{"nbd://host/a#b", "a fragment is not supported"},
	{"nbd://host#b", "a fragment is not supported"},
	{"nbd://host/a?b#c", "a fragment is not supported"},
	{"nbd://host/a b", "a URI has no spaces"},
	{" nbd://host/a", "a URI has no spaces"},
};

static void good_ones_are_taken_apart(void **state)
{
	for (unsigned i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
		const struct good *g = &good_cases[i];
		struct nbd_uri u;

		if (nbd_uri_parse(g->text, &u, &err))
			fail_msg("%s: %s", g->text, err.text);
		assert_string_equal(u.host, g->host);
		assert_string_equal(u.export_name, g->export_name);
		assert_string_equal(u.user, g->user);
		assert_int_equal(u.port, g->port);
		if (!strstr(u.ignored, g->ignored) || (!g->ignored[0] && u.ignored[0]))
			fail_msg("%s: ignored: %s", g->text, u.ignored);
	}
}

static void good_ones_come_in_by_every_way(void **state)
{
	static struct config_volume volume;

	for (unsigned i = 0; i < sizeof(good_cases) / sizeof(good_cases[0]); i++) {
		const struct good *g = &good_cases[i];
		char text[256];

		snprintf(text, sizeof(text), GOOD_PORT "volumes:\n- uri: \"%s\"\n", g->text);
		loads(text);
		assert_string_equal(cfg.volumes[0].uris[0], g->text);
		assert_int_equal(config_volume_from_uri(g->text, &volume, &err), 0);
		assert_string_equal(volume.uris[0], g->text);
		assert_non_null(strstr(volume.warning, g->ignored));
		assert_string_equal(volume.name, cfg.volumes[0].name);
	}
}

static void bad_ones_are_refused_with_the_reason_by_every_way(void **state)
{
	static struct config_volume volume;

	for (unsigned i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		const char *uri = bad_cases[i][0], *why = bad_cases[i][1];
		struct nbd_uri u = {.port = 7};
		char text[256], start[256];

		assert_int_equal(nbd_uri_parse(uri, &u, &err), -EINVAL);
		if (strncmp(err.text, why, strlen(why)) != 0)
			fail_msg("%s: %s", uri, err.text);
		assert_int_equal(u.port, 7); /* results are written on success only */
		assert_int_equal(config_volume_from_uri(uri, &volume, &err), -EINVAL);
		assert_ptr_equal(strstr(err.text, why), err.text);
		snprintf(text, sizeof(text), GOOD_PORT "volumes:\n- uri: \"%s\"\n", uri);
		snprintf(start, sizeof(start), "c.yaml:4: volumes[0].uri: %s", why);
		refused(text, start);
	}
}

static void export_name_may_have_4096_bytes_and_no_more(void **state)
{
	char text[NBD_STRING_BYTES_MAX + 32] = "nbd://h/";
	struct nbd_uri u;

	memset(text + 8, 'x', NBD_STRING_BYTES_MAX);
	assert_int_equal(nbd_uri_parse(text, &u, &err), 0);
	assert_int_equal(strlen(u.export_name), NBD_STRING_BYTES_MAX);
	text[8 + NBD_STRING_BYTES_MAX] = 'x';
	assert_int_equal(nbd_uri_parse(text, &u, &err), -EINVAL);
	assert_non_null(strstr(err.text, "longer than 4096"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_are_taken_apart),
		cmocka_unit_test(good_ones_come_in_by_every_way),
		cmocka_unit_test(bad_ones_are_refused_with_the_reason_by_every_way),
		cmocka_unit_test(export_name_may_have_4096_bytes_and_no_more),
	};

	return cmocka_run_group_tests(tests, yaml_setup, yaml_teardown);
}
