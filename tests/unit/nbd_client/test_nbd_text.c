/*
 * test_nbd_text.c - names that servers send: UTF-8 whole, all else made harmless
 */
#include "tests/unit/nbd_client/check.h"
#include "nbd_client/nbd_conn_priv.h"

static void text_is_cleaned_byte_for_byte(void **state)
{
	static const char *const cases[][2] = {
		{"disk 1", "disk 1"}, {"gr\xc3\xb6\xc3\x9f", "gr\xc3\xb6\xc3\x9f"},
		{"\xe7\xa3\x81\xe7\x9b\x98", "\xe7\xa3\x81\xe7\x9b\x98"},
		{"\xf0\x9f\x92\xbe", "\xf0\x9f\x92\xbe"},
		{"\xc2\xa0\xdf\xbf\xe0\xa0\x80\xf4\x8f\xbf\xbf",
			"\xc2\xa0\xdf\xbf\xe0\xa0\x80\xf4\x8f\xbf\xbf"},
		{"a\nb\tc\x1b[2Jd\x7f", "a?b?c?[2Jd?"},
		{"\xc2\x9b"
		 "2J",
			"??2J"}, /* C1: CSI */
		{"a\xe2\x80\xae"
		 "b",
			"a???b"}, /* right-to-left override */
		{"a\xe2\x80\xa8"
		 "b\xe2\x81\xa6",
			"a???b???"},			     /* line separator, isolate */
		{"\x80\xbf\xff\xc0\xaf\xc1\xbf", "???????"}, /* no first bytes, overlong */
		{"\xe0\x9f\xbf\xf0\x8f\xbf\xbf", "???????"}, /* overlong */
		{"\xed\xa0\x80\xf4\x90\x80\x80", "???????"}, /* a surrogate, beyond the last */
		{"\xc3"
		 "a\xe2\x82"
		 "b\xf0\x9f\x92",
			"?a??b???"}, /* cut short */
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[64];

		nbd_conn_text(out, sizeof(out), (const uint8_t *)cases[i][0], strlen(cases[i][0]));
		assert_string_equal(out, cases[i][1]);
	}
}

static void text_with_zeroes_is_no_shorter(void **state)
{
	char out[8];

	nbd_conn_text(out, sizeof(out), (const uint8_t *)"a\0b", 3);
	assert_string_equal(out, "a?b");
}

static void text_is_cut_between_characters(void **state)
{
	static const char text[] =
		"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xbe"; /* 1, 2, 3 and 4 bytes */
	static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

	for (size_t room = 1; room <= 12; room++) {
		char out[16];

		nbd_conn_text(out, room, (const uint8_t *)text, sizeof(text) - 1);
		assert_int_equal(strlen(out), want[room - 1]);
		assert_memory_equal(out, text, want[room - 1]);
	}
}

/* A name of 4096 bytes leaves room for what is said of it. */
static void text_of_a_refusal_keeps_its_remedy(void **state)
{
	static struct nbd_conn c;
	char name[NBD_STRING_BYTES_MAX + 1];

	for (unsigned i = 0; i < sizeof(name) - 1; i += 2)
		memcpy(name + i, "\xc3\xa9", 2);
	name[sizeof(name) - 1] = '\0';
	nbd_conn_init(&c, name, false);
	assert_int_equal(strlen(c.shown_name), NBD_SHOWN_BYTES - 1); /* 80, and the ellipsis */
	assert_has(c.shown_name, "\xc3\xa9\xe2\x80\xa6");
	nbd_conn_init(&c, "short", false);
	assert_string_equal(c.shown_name, "short");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_cleaned_byte_for_byte),
		cmocka_unit_test(text_with_zeroes_is_no_shorter),
		cmocka_unit_test(text_is_cut_between_characters),
		cmocka_unit_test(text_of_a_refusal_keeps_its_remedy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
