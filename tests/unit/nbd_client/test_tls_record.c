/*
 * test_tls_record.c - records sealed and opened: RFC 8448's bytes, every cut, every damaged byte
 *
 * Most tests run over both versions and all three AEADs. What a peer may send is made by
 * tls_craft(), which shares no code with tls_seal() but the cipher and the nonce; the two are held
 * against each other, and against the records that RFC 8448 prints.
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/nbd_client/tls_pair.h"

static void unhex(const char *hex, uint8_t *out)
{
	for (; hex[0] && hex[1]; hex += 2, out++)
		assert_int_equal(sscanf(hex, "%2hhx", out), 1);
}

/* RFC 8448 section 3: both application traffic secrets, and a record of each direction. */
static void rfc8448_records_are_made_and_opened(void **state)
{
	static const char client_secret[] =
		"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
	static const char server_secret[] =
		"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
	static const char client_record[] =
		"1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b39"
		"5bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
	/* The second record under the server's key: a ticket came first. */
	static const char server_record[] =
		"17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6df"
		"fc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
	struct tls_keys keys = {.version = TLS_VERSION_1_3, .aead = TLS_AES_128_GCM,
		.secret_bytes = 32, .rx.seq = 1};
	struct tls_records *r = tls_records_create();
	uint8_t text[50], want[72], got[128], plain[72];
	struct iovec piece = {text, sizeof(text)};
	uint32_t len, taken;

	assert_non_null(r);
	unhex(client_secret, keys.tx.secret);
	unhex(server_secret, keys.rx.secret);
	assert_int_equal(tls_expand_label(keys.tx.secret, 32, "key", keys.tx.key, 16), 0);
	assert_int_equal(tls_expand_label(keys.tx.secret, 32, "iv", keys.tx.iv, 12), 0);
	assert_int_equal(tls_expand_label(keys.rx.secret, 32, "key", keys.rx.key, 16), 0);
	assert_int_equal(tls_expand_label(keys.rx.secret, 32, "iv", keys.rx.iv, 12), 0);
	unhex("17422dda596ed5d9acd890e3c63f5051", want);
	assert_memory_equal(keys.tx.key, want, 16);
	unhex("5b78923dee08579033e523d9", want);
	assert_memory_equal(keys.tx.iv, want, 12);
	assert_int_equal(tls_records_start(r, &keys), 0);
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	unhex(client_record, want);
	assert_int_equal(tls_seal(r, &piece, 1, got), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
	unhex(server_record, want);
	assert_int_equal(tls_open_flat(r, want, sizeof(want), 7, plain, &len, &taken), TLS_TEXT);
	assert_int_equal(len, sizeof(text));
	assert_memory_equal(plain, text, sizeof(text));
	tls_records_destroy(r);
}

static uint8_t wire[4 * TLS_RECORD_BYTES_MAX], copy[4 * TLS_RECORD_BYTES_MAX];
static uint8_t text_in[TLS_TEXT_BYTES_MAX + 1], text_out[TLS_RECORD_BYTES_MAX];

static void text_fill(void)
{
	for (uint32_t i = 0; i < sizeof(text_in); i++)
		text_in[i] = (uint8_t)(i * 7 + i / 251);
}

static void seal_and_craft_agree(void **state)
{
	static const uint32_t lens[] = {1, 28, 4124, TLS_TEXT_BYTES_MAX};
	struct tls_pair a, b;

	text_fill();
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		tls_pair_make(&a, kind);
		tls_pair_make(&b, kind);
		for (unsigned i = 0; i < 4; i++) {
			struct iovec two[2] = {{text_in, 1}, {text_in + 1, lens[i] - 1}};
			int n = tls_seal(a.client, two, 2, wire);

			assert_int_equal(n, tls_sealed_bytes(a.client, lens[i]));
			assert_true((uint32_t)n <= lens[i] + TLS_OVERHEAD_BYTES_MAX);
			assert_int_equal(
				tls_craft(b.client, TLS_DATA, text_in, lens[i], 0, copy), n);
			assert_memory_equal(wire, copy, n);
		}
		tls_pair_free(&a);
		tls_pair_free(&b);
	}
}

/* Opens a whole row of records in pieces of @piece; the texts must follow each other. */
static void row_open(struct tls_records *r, uint32_t total, uint32_t piece, uint32_t want)
{
	uint32_t at = 0, got = 0, len, taken;

	while (at < total) {
		assert_int_equal(tls_open_flat(r, wire + at, total - at, piece, text_out, &len,
					 &taken),
			TLS_TEXT);
		assert_memory_equal(text_out, text_in + got, len);
		got += len;
		at += taken;
	}
	assert_int_equal(at, total);
	assert_int_equal(got, want);
}

static void records_open_in_pieces_of_every_size(void **state)
{
	static const uint32_t lens[] = {1, 16, 28, 100, 300};
	struct tls_pair p;

	text_fill();
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		for (uint32_t piece = 1; piece <= 600; piece++) {
			uint32_t total = 0, texts = 0;

			tls_pair_make(&p, kind);
			for (unsigned i = 0; i < 5; i++) {
				struct iovec text = {text_in + texts, lens[i]};

				total += (uint32_t)tls_seal(p.server, &text, 1, wire + total);
				texts += lens[i];
			}
			row_open(p.client, total, piece, texts);
			tls_pair_free(&p);
		}
	}
}

static void the_longest_record_opens_in_single_bytes(void **state)
{
	struct tls_pair p;
	struct iovec text = {text_in, TLS_TEXT_BYTES_MAX};

	text_fill();
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		int n;

		tls_pair_make(&p, kind);
		n = tls_seal(p.server, &text, 1, wire);
		assert_true(n > 0);
		row_open(p.client, (uint32_t)n, 1, TLS_TEXT_BYTES_MAX);
		tls_pair_free(&p);
	}
}

static void a_record_cut_at_any_byte_waits_and_stays_untouched(void **state)
{
	struct iovec text = {text_in, 300};
	struct tls_pair p;

	text_fill();
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		uint32_t total, len, taken;

		tls_pair_make(&p, kind);
		total = (uint32_t)tls_seal(p.server, &text, 1, wire);
		memcpy(copy, wire, total);
		for (uint32_t have = 0; have < total; have++) {
			assert_int_equal(
				tls_open_flat(p.client, wire, have, 11, text_out, &len, &taken),
				TLS_MORE);
			assert_int_equal(taken, have < TLS_HEADER_BYTES ? TLS_HEADER_BYTES : total);
		}
		assert_memory_equal(copy, wire, total);
		row_open(p.client, total, 11, 300);
		tls_pair_free(&p);
	}
}

/* Whatever bit is turned, no text comes out, and nothing ever after. */
static void no_damaged_record_gives_text(void **state)
{
	struct iovec text = {text_in, 60};
	struct tls_pair p;

	text_fill();
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		uint32_t total = 1;

		for (uint32_t at = 0; at < total; at++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				uint32_t len, taken;
				enum tls_verdict v;

				tls_pair_make(&p, kind);
				total = (uint32_t)tls_seal(p.server, &text, 1, wire);
				wire[at] ^= (uint8_t)(1u << bit);
				v = tls_open_flat(
					p.client, wire, total, 9, text_out, &len, &taken);
				if (v == TLS_MORE) /* the length grew: it waits for more */
					assert_true(at == 3 || at == 4);
				else
					assert_int_equal(v, TLS_DEAD);
				assert_int_equal(v == TLS_DEAD,
					tls_records_error(p.client) != NULL);
				tls_pair_free(&p);
			}
		}
	}
}

static void a_record_left_out_repeated_or_swapped_is_fatal(void **state)
{
	struct iovec text = {text_in, 60};
	struct tls_pair p;

	text_fill();
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		for (unsigned what = 0; what < 2; what++) {
			uint32_t n, len, taken;

			tls_pair_make(&p, kind);
			n = (uint32_t)tls_seal(p.server, &text, 1, wire);
			memcpy(copy, wire, n);
			tls_seal(p.server, &text, 1, wire + n);
			if (what == 0) { /* the second first */
				memcpy(wire, wire + n, n);
			} else {
				row_open(p.client, n, 64, 60);
				memcpy(wire, copy, n);
			}
			assert_int_equal(
				tls_open_flat(p.client, wire, n, 64, text_out, &len, &taken),
				TLS_DEAD);
			assert_has(tls_records_error(p.client), "damaged or forged");
			tls_pair_free(&p);
		}
	}
}

/* A dead machine says its one alert, and then nothing; the peer understands the alert. */
static void the_dead_say_one_alert(void **state)
{
	struct iovec text = {text_in, 60};
	struct tls_pair p;

	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		uint32_t n, len, taken;
		int bytes;

		tls_pair_make(&p, kind);
		n = (uint32_t)tls_seal(p.server, &text, 1, wire);
		wire[n - 1] ^= 1;
		assert_int_equal(
			tls_open_flat(p.client, wire, n, n, text_out, &len, &taken), TLS_DEAD);
		assert_int_equal(tls_seal(p.client, &text, 1, wire), -EPIPE);
		assert_false(tls_update_is_due(p.client));
		bytes = tls_seal_alert(p.client, wire);
		assert_true(bytes > 0 && bytes <= (int)TLS_CONTROL_BYTES_MAX);
		assert_int_equal(tls_seal_alert(p.client, copy), -EPIPE);
		assert_int_equal(tls_open_flat(p.server, wire, (uint32_t)bytes, 8, text_out, &len,
					 &taken),
			TLS_DEAD);
		assert_has(tls_records_error(p.server), "alert");
		tls_pair_free(&p);
	}
}

static void close_notify_is_an_end_and_no_error(void **state)
{
	struct iovec text = {text_in, 60};
	struct tls_pair p;

	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		enum tls_verdict v;
		uint32_t len, taken, n;

		tls_pair_make(&p, kind);
		n = (uint32_t)tls_seal_alert(p.server, wire);
		assert_int_equal(tls_seal(p.server, &text, 1, copy), -EPIPE);
		v = tls_open_flat(p.client, wire, n, n, text_out, &len, &taken);
		assert_int_equal(v, TLS_CLOSED);
		assert_int_equal(taken, n);
		assert_null(tls_records_error(p.client));
		/* A half-close: what we have to say may still be said (RFC 8446 6.1). */
		assert_true(tls_seal(p.client, &text, 1, wire) > 0);
		tls_pair_free(&p);
	}
}

/* Headers that are refused before a byte of the body is waited for. */
static void headers_out_of_bounds_are_refused_at_once(void **state)
{
	static const struct {
		unsigned kind;
		uint8_t header[5];
		const char *why;
	} cases[] = {
		{0, {23, 3, 3, 0x41, 0x01}, "longer than allowed"},
		{0, {23, 3, 3, 0xff, 0xff}, "longer than allowed"},
		{0, {23, 3, 3, 0, 16}, "too short"},
		{0, {23, 3, 3, 0, 0}, "too short"},
		{0, {23, 3, 1, 0, 99}, "another version"},
		{0, {20, 3, 3, 0, 1}, "not encrypted"},
		{0, {21, 3, 3, 0, 2}, "not encrypted"},
		{0, {22, 3, 3, 0, 99}, "not encrypted"},
		{0, {'N', 'B', 'D', 'M', 'A'}, "not encrypted"},
		{3, {23, 3, 3, 0x40, 0x19}, "longer than allowed"},
		{5, {23, 3, 3, 0x40, 0x11}, "longer than allowed"},
		{3, {23, 3, 3, 0, 23}, "too short"},
		{3, {20, 3, 3, 0, 40}, "not encrypted"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t len, taken;
		struct tls_pair p;

		tls_pair_make(&p, cases[i].kind);
		memcpy(wire, cases[i].header, 5);
		assert_int_equal(
			tls_open_flat(p.client, wire, 5, 1, text_out, &len, &taken), TLS_DEAD);
		assert_has(tls_records_error(p.client), cases[i].why);
		tls_pair_free(&p);
	}
}

/* 1.3 allows a body of 2^14 + 256, 1.2 of 2^14 and its overhead: these are whole and too long. */
static void a_text_of_more_than_16_kib_is_refused(void **state)
{
	uint32_t n, len, taken;
	struct tls_pair p;

	text_fill();
	tls_pair_make(&p, 0);
	n = tls_craft(p.server, TLS_DATA, text_in, TLS_TEXT_BYTES_MAX + 1, 0, wire);
	assert_int_equal(tls_open_flat(p.client, wire, n, n, text_out, &len, &taken), TLS_DEAD);
	assert_has(tls_records_error(p.client), "longer than allowed");
	tls_pair_free(&p);
}

static void keys_of_another_start_leave_nothing_behind(void **state)
{
	struct iovec text = {text_in, 60};
	uint32_t n, len, taken;
	struct tls_keys keys;
	struct tls_pair p;

	text_fill();
	tls_pair_make(&p, 0);
	n = (uint32_t)tls_seal(p.server, &text, 1, wire);
	wire[7] ^= 1;
	assert_int_equal(tls_open_flat(p.client, wire, n, n, text_out, &len, &taken), TLS_DEAD);
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		struct tls_keys_half rx;

		tls_pair_keys(&keys, kind);
		assert_int_equal(tls_records_start(p.client, &keys), 0);
		rx = keys.rx;
		keys.rx = keys.tx;
		keys.tx = rx;
		assert_int_equal(tls_records_start(p.server, &keys), 0);
		assert_null(tls_records_error(p.client));
		n = (uint32_t)tls_seal(p.server, &text, 1, wire);
		row_open(p.client, n, 5, 60);
	}
	keys.version = TLS_VERSION_1_3;
	keys.secret_bytes = 20;
	assert_int_equal(tls_records_start(p.client, &keys), -EINVAL);
	tls_pair_free(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc8448_records_are_made_and_opened),
		cmocka_unit_test(seal_and_craft_agree),
		cmocka_unit_test(records_open_in_pieces_of_every_size),
		cmocka_unit_test(the_longest_record_opens_in_single_bytes),
		cmocka_unit_test(a_record_cut_at_any_byte_waits_and_stays_untouched),
		cmocka_unit_test(no_damaged_record_gives_text),
		cmocka_unit_test(a_record_left_out_repeated_or_swapped_is_fatal),
		cmocka_unit_test(the_dead_say_one_alert),
		cmocka_unit_test(close_notify_is_an_end_and_no_error),
		cmocka_unit_test(headers_out_of_bounds_are_refused_at_once),
		cmocka_unit_test(a_text_of_more_than_16_kib_is_refused),
		cmocka_unit_test(keys_of_another_start_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
