/*
 * test_tls_post.c - behind the handshake: tickets, key changes, alerts, and what is endless
 *
 * Both machines of a pair follow each other's KeyUpdates; that the keys are those the RFC wants is
 * shown by GnuTLS as the peer (tests of the handshake) and by RFC 8448's first keys.
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/nbd_client/tls_pair.h"

static uint8_t wire[TLS_RECORD_BYTES_MAX], text_in[TLS_TEXT_BYTES_MAX];
static uint8_t text_out[TLS_RECORD_BYTES_MAX];

/* One crafted record of the server, opened by the client in pieces of @piece. */
static enum tls_verdict one(struct tls_pair *p, uint8_t type, const void *text, uint32_t len,
	uint32_t padding, uint32_t piece)
{
	uint32_t n = tls_craft(p->server, type, text, len, padding, wire), out_len, taken;

	return tls_open_flat(p->client, wire, n, piece, text_out, &out_len, &taken);
}

/* Data passes from one to the other, both ways. */
static void data_passes(struct tls_pair *p)
{
	struct iovec text = {text_in, 100};
	uint32_t len, taken;
	int n = tls_seal(p->server, &text, 1, wire);

	assert_true(n > 0);
	assert_int_equal(tls_open_flat(p->client, wire, (uint32_t)n, 33, text_out, &len, &taken),
		TLS_TEXT);
	assert_int_equal(len, 100);
	n = tls_seal(p->client, &text, 1, wire);
	assert_true(n > 0);
	assert_int_equal(tls_open_flat(p->server, wire, (uint32_t)n, 33, text_out, &len, &taken),
		TLS_TEXT);
	assert_memory_equal(text_out, text_in, 100);
}

/* @from changes its sending key and tells @to. @asks: and wants an answer. */
static void update(struct tls_records *from, struct tls_records *to, bool asks)
{
	uint8_t message[5] = {24, 0, 0, 1, asks};
	uint32_t n = tls_craft(from, TLS_HANDSHAKE, message, 5, 0, wire), len, taken;

	assert_int_equal(tls_half_update(from, &from->tx), 0);
	assert_int_equal(tls_open_flat(to, wire, n, 3, text_out, &len, &taken), TLS_NONE);
	assert_int_equal(taken, n);
}

static void keys_change_any_number_of_times(void **state)
{
	struct tls_records_info info;
	struct tls_pair p;

	for (unsigned kind = 0; kind < TLS_AEAD_COUNT; kind++) {
		tls_pair_make(&p, kind);
		for (unsigned i = 0; i < 50; i++) {
			for (unsigned burst = 0; burst <= i % 4; burst++)
				update(p.server, p.client, false);
			assert_false(tls_update_is_due(p.client));
			data_passes(&p);
		}
		tls_records_info(p.client, &info);
		assert_int_equal(info.rx_updates, 123);
		tls_pair_free(&p);
	}
}

static void an_update_asked_for_is_answered_once(void **state)
{
	uint32_t len, taken;
	struct tls_pair p;
	int n;

	for (unsigned kind = 0; kind < TLS_AEAD_COUNT; kind++) {
		tls_pair_make(&p, kind);
		for (unsigned i = 0; i < 5; i++)
			update(p.server, p.client, true);
		assert_true(tls_update_is_due(p.client));
		n = tls_seal_update(p.client, wire);
		assert_true(n > 0 && n <= (int)TLS_CONTROL_BYTES_MAX);
		assert_false(tls_update_is_due(p.client));
		assert_int_equal(tls_open_flat(p.server, wire, (uint32_t)n, 9, text_out, &len,
					 &taken),
			TLS_NONE);
		assert_false(tls_update_is_due(p.server));
		data_passes(&p);
		tls_pair_free(&p);
	}
}

static void a_key_that_sealed_enough_is_changed(void **state)
{
	struct iovec text = {text_in, 28};
	struct tls_pair p;
	uint32_t len, taken;
	int n;

	tls_pair_make(&p, 0);
	p.client->tx.records = TLS_KEY_RECORDS_MAX - 1;
	assert_false(tls_update_is_due(p.client));
	data_passes(&p);
	assert_true(tls_update_is_due(p.client));
	n = tls_seal_update(p.client, wire);
	assert_int_equal(
		tls_open_flat(p.server, wire, (uint32_t)n, 9, text_out, &len, &taken), TLS_NONE);
	data_passes(&p);
	p.client->tx.records = 2 * TLS_KEY_RECORDS_MAX;
	assert_int_equal(tls_seal(p.client, &text, 1, wire), -EKEYREVOKED);
	tls_pair_free(&p);

	tls_pair_make(&p, 3); /* 1.2: no update there is */
	p.client->tx.records = 2 * TLS_KEY_RECORDS_MAX;
	assert_false(tls_update_is_due(p.client));
	data_passes(&p);
	p.client->tx.seq = UINT64_MAX;
	assert_int_equal(tls_seal(p.client, &text, 1, wire), -EKEYREVOKED);
	tls_pair_free(&p);
}

/* Tickets of several lengths, cut into records and pieces of every length, then a KeyUpdate. */
static void tickets_are_skipped_across_records(void **state)
{
	static const uint8_t tail[5] = {24, 0, 0, 1, 0};
	uint8_t row[4 + 200 + 4 + 1 + 5] = {4, 0, 0, 200};
	struct tls_records_info info;

	memset(row + 4, 24, 200);
	memcpy(row + 204, "\4\0\0\1\30", 5);
	memcpy(row + 209, tail, 5);
	for (uint32_t cut = 1; cut <= sizeof(row); cut++) {
		struct tls_pair p;

		tls_pair_make(&p, 0);
		for (uint32_t at = 0; at < sizeof(row); at += cut) {
			uint32_t n = sizeof(row) - at < cut ? (uint32_t)sizeof(row) - at : cut;

			assert_int_equal(one(&p, TLS_HANDSHAKE, row + at, n, 0, 7), TLS_NONE);
		}
		assert_int_equal(tls_half_update(p.server, &p.server->tx), 0);
		tls_records_info(p.client, &info);
		assert_int_equal(info.tickets, 2);
		assert_int_equal(info.rx_updates, 1);
		data_passes(&p);
		tls_pair_free(&p);
	}
}

static void messages_out_of_place_are_fatal(void **state)
{
	static const struct {
		unsigned kind;
		uint8_t type;
		uint8_t text[8];
		uint32_t len;
		const char *why;
	} cases[] = {
		{0, TLS_HANDSHAKE, {24, 0, 0, 1, 2}, 5, "malformed"},
		{0, TLS_HANDSHAKE, {24, 0, 0, 2, 0, 0}, 6, "not allowed"},
		{0, TLS_HANDSHAKE, {24, 0, 0, 1, 0, 4}, 6, "inside a record"},
		{0, TLS_HANDSHAKE, {13, 0, 0, 1, 0}, 5, "not allowed"}, /* CertificateRequest */
		{0, TLS_HANDSHAKE, {1, 0, 0, 1, 0}, 5, "not allowed"},	/* ClientHello */
		{0, TLS_HANDSHAKE, {4, 0, 0, 0}, 4, "not allowed"},
		{0, TLS_HANDSHAKE, {4, 0xff, 0, 0}, 4, "not allowed"},
		{0, TLS_HANDSHAKE, {0}, 0, "empty"},
		{0, TLS_ALERT, {0}, 0, "empty"},
		{0, TLS_ALERT, {2}, 1, "malformed"},
		{0, TLS_ALERT, {2, 40, 2, 40}, 4, "malformed"},
		{0, TLS_ALERT, {2, 40}, 2, "server's log"},
		{0, TLS_ALERT, {1, 90}, 2, "server's log"}, /* user_canceled: nothing to cancel */
		{0, TLS_CCS, {1}, 1, "unknown kind"},
		{0, 99, {1}, 1, "unknown kind"},
		{3, TLS_HANDSHAKE, {0, 0, 0, 0}, 4, "again"}, /* HelloRequest */
		{3, TLS_ALERT, {2, 40}, 2, "server's log"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_pair p;

		tls_pair_make(&p, cases[i].kind);
		assert_int_equal(one(&p, cases[i].type, cases[i].text, cases[i].len, 0, 64),
			TLS_DEAD);
		assert_has(tls_records_error(p.client), cases[i].why);
		tls_pair_free(&p);
	}
}

static void data_inside_a_message_is_fatal(void **state)
{
	static const uint8_t begun[] = {4, 0, 0, 9, 1, 2};

	for (uint32_t n = 1; n <= sizeof(begun); n++) {
		struct tls_pair p;

		tls_pair_make(&p, 0);
		assert_int_equal(one(&p, TLS_HANDSHAKE, begun, n, 0, 64), TLS_NONE);
		assert_int_equal(one(&p, TLS_DATA, begun, 4, 0, 64), TLS_DEAD);
		assert_has(tls_records_error(p.client), "inside a handshake message");
		tls_pair_free(&p);
	}
}

static void padding_is_taken_off(void **state)
{
	static const uint32_t paddings[] = {1, 15, 255, 256, 4000};
	uint32_t n, len, taken;
	struct tls_pair p;

	tls_pair_make(&p, 0);
	for (unsigned i = 0; i < 5; i++) {
		for (uint32_t piece = 1; piece < 40; piece++) {
			text_in[49] = (uint8_t)(piece & 1); /* the text may end in a zero */
			n = tls_craft(p.server, TLS_DATA, text_in, 50, paddings[i], wire);
			assert_int_equal(
				tls_open_flat(p.client, wire, n, piece, text_out, &len, &taken),
				TLS_TEXT);
			assert_int_equal(len, 50);
			assert_memory_equal(text_out, text_in, 50);
		}
	}
	assert_int_equal(one(&p, 0, "", 0, 200, 16), TLS_DEAD);
	assert_has(tls_records_error(p.client), "nothing but padding");
	tls_pair_free(&p);
}

/* Out: how many records of this kind pass before the connection is over. */
static unsigned until_dead(struct tls_pair *p, uint8_t type, uint32_t len, uint32_t padding)
{
	unsigned n = 0;

	while (n < 4 * TLS_SPARE_MAX && one(p, type, text_in, len, padding, 20000) != TLS_DEAD)
		n++;
	return n;
}

static void endless_small_records_end_the_connection(void **state)
{
	struct tls_pair p;

	memset(text_in, 0, sizeof(text_in));
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		for (uint32_t len = 0; len <= 1; len++) {
			tls_pair_make(&p, kind);
			assert_int_equal(until_dead(&p, TLS_DATA, len, 0), TLS_SPARE_MAX);
			assert_has(tls_records_error(p.client), "without end");
			tls_pair_free(&p);
		}
	}
	tls_pair_make(&p, 0);
	assert_int_equal(until_dead(&p, TLS_DATA, 16, 16000), TLS_SPARE_MAX);
	tls_pair_free(&p);
	/* A ticket of one byte in each record costs as much. */
	memcpy(text_in, "\4\0\0\1\0", 5);
	tls_pair_make(&p, 0);
	assert_int_equal(until_dead(&p, TLS_HANDSHAKE, 5, 0), TLS_SPARE_MAX);
	tls_pair_free(&p);
	/* Replies to writes have 16 bytes each, and may go on for ever. */
	tls_pair_make(&p, 0);
	assert_int_equal(until_dead(&p, TLS_DATA, 16, 0), 4 * TLS_SPARE_MAX);
	tls_pair_free(&p);
}

static void an_answer_earns_some_more(void **state)
{
	struct tls_pair p;

	tls_pair_make(&p, 0);
	for (unsigned i = 0; i < TLS_SPARE_MAX; i++)
		assert_int_equal(one(&p, TLS_DATA, text_in, 1, 0, 64), TLS_TEXT);
	tls_records_earn(p.client);
	assert_int_equal(until_dead(&p, TLS_DATA, 1, 0), TLS_SPARE_EARNED);
	tls_pair_free(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_change_any_number_of_times),
		cmocka_unit_test(an_update_asked_for_is_answered_once),
		cmocka_unit_test(a_key_that_sealed_enough_is_changed),
		cmocka_unit_test(tickets_are_skipped_across_records),
		cmocka_unit_test(messages_out_of_place_are_fatal),
		cmocka_unit_test(data_inside_a_message_is_fatal),
		cmocka_unit_test(padding_is_taken_off),
		cmocka_unit_test(endless_small_records_end_the_connection),
		cmocka_unit_test(an_answer_earns_some_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
