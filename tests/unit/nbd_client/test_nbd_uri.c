/*
 * test_nbd_uri.c - URIs good and bad, each with what must come of it
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "nbd_client/nbd_uri.h"

struct good {
	const char *text, *host, *export_name, *user;
	uint16_t port;
};

static void uri_good_ones_are_taken_apart(void **state)
{
	static const struct good cases[] = {
		{"nbd://10.0.0.2", "10.0.0.2", "", "", 10809},
		{"nbd://10.0.0.2/", "10.0.0.2", "", "", 10809},
		{"NBD://host:10900/disk", "host", "disk", "", 10900},
		{"nbd://host:/disk", "host", "disk", "", 10809},
		{"nbd://[fd00::2]:1/a/b", "fd00::2", "a/b", "", 1},
		{"nbd://[fd00::2]", "fd00::2", "", "", 10809},
		{"nbd://me@host:65535//slash", "host", "/slash", "me", 65535},
		{"nbd://host/with%20space%2f", "host", "with space/", "", 10809},
		{"nbd://host/a?tls-type=x&unknown=1", "host", "a", "", 10809},
		{"nbd://ho%73t/%C3%A9", "host", "\xc3\xa9", "", 10809},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nbd_uri u;
		struct error err;

		assert_int_equal(nbd_uri_parse(cases[i].text, &u, &err), 0);
		assert_string_equal(u.host, cases[i].host);
		assert_string_equal(u.export_name, cases[i].export_name);
		assert_string_equal(u.user, cases[i].user);
		assert_int_equal(u.port, cases[i].port);
		assert_false(u.is_tls);
	}
}

static void uri_bad_ones_are_refused_with_the_reason(void **state)
{
	static const char *const cases[][2] = {
		{"", "no scheme"},
		{"10.0.0.2", "no scheme"},
		{"nbd:/host", "no scheme"},
		{"http://host/", "not nbd"},
		{"nb://host/", "not nbd"},
		{"nbd+unix:///disk?socket=/tmp/s", "no packets"},
		{"nbd+vsock://2/disk", "no packets"},
		{"nbds://host/disk", "TLS"},
		{"nbds+unix:///disk", "TLS"},
		{"nbd:///disk", "no host"},
		{"nbd://:10809/disk", "no host"},
		{"nbd://@/disk", "no host"},
		{"nbd://host:0/", "not 1 to 65535"},
		{"nbd://host:65536/", "not 1 to 65535"},
		{"nbd://host:99999999999999999999/", "not 1 to 65535"},
		{"nbd://host:10x/", "not a number"},
		{"nbd://fd00::2/", "brackets"},
		{"nbd://[fd00::2/", "']'"},
		{"nbd://[fd00::2]x/", "PORT"},
		{"nbd://host/%", "two hex digits"},
		{"nbd://host/%4", "two hex digits"},
		{"nbd://host/%g1", "two hex digits"},
		{"nbd://host/a%00b", "%00"},
		{"nbd://host/a#b", "fragment"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nbd_uri u = {.port = 7};
		struct error err;

		assert_int_equal(nbd_uri_parse(cases[i][0], &u, &err), -EINVAL);
		assert_has(err.text, cases[i][1]);
		assert_int_equal(u.port, 7); /* results are written on success only */
	}
}

static void uri_export_name_may_have_4096_bytes_and_no_more(void **state)
{
	char text[NBD_STRING_BYTES_MAX + 32] = "nbd://h/";
	struct nbd_uri u;
	struct error err;

	memset(text + 8, 'x', NBD_STRING_BYTES_MAX);
	assert_int_equal(nbd_uri_parse(text, &u, &err), 0);
	assert_int_equal(strlen(u.export_name), NBD_STRING_BYTES_MAX);
	text[8 + NBD_STRING_BYTES_MAX] = 'x';
	assert_int_equal(nbd_uri_parse(text, &u, &err), -EINVAL);
	assert_has(err.text, "longer than 4096");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uri_good_ones_are_taken_apart),
		cmocka_unit_test(uri_bad_ones_are_refused_with_the_reason),
		cmocka_unit_test(uri_export_name_may_have_4096_bytes_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
