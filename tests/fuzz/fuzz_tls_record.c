/*
 * fuzz_tls_record.c - any records from a TLS server, authentic or not, in any pieces
 *
 * The first byte chooses version and AEAD, the second how long the pieces are. Then each step is a
 * record: its first byte says whether the bytes that follow are sealed with the server's key (any
 * inner type, any padding), changed in one place after that, or come as they are. Checked: the text
 * of an authentic data record comes out and nothing else ever does, a record that is not whole is
 * left alone, what is consumed is what was there, the dead have a reason and stay dead, and what
 * the machine then seals the server can open.
 */
#include <assert.h>
#include <string.h>
#include "tests/unit/nbd_client/tls_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { STEP_SEALED, STEP_DAMAGED, STEP_RAW, STEP_KEY, STEP_COUNT };

static uint8_t wire[TLS_RECORD_BYTES_MAX + 512], text[TLS_RECORD_BYTES_MAX];

/* The server changes its key where the client understood that it does. */
static void server_follow(struct tls_pair *p, uint64_t updates_before)
{
	uint64_t changed = p->client->info.rx_updates - updates_before;

	assert(changed <= 1);
	if (changed == 1)
		assert(tls_half_update(p->server, &p->server->tx) == 0);
}

/* Opens what is in wire. @body: what may come out, NULL if nothing may. False: it is over. */
static bool open_check(struct tls_pair *p, uint32_t n, uint32_t piece, const uint8_t *body,
	uint32_t len)
{
	static uint8_t before[sizeof(wire)];
	uint32_t text_len, taken = 0;
	enum tls_verdict v;

	memcpy(before, wire, n);
	v = tls_open_flat(p->client, wire, n, piece, text, &text_len, &taken);
	assert((v == TLS_DEAD) == (tls_records_error(p->client) != NULL));
	if (v == TLS_TEXT) {
		assert(body && text_len == len && memcmp(text, body, len) == 0);
		assert(taken == n);
	} else if (v == TLS_MORE) {
		assert(taken > n && taken <= TLS_RECORD_BYTES_MAX);
		assert(memcmp(before, wire, n) == 0);
		return false; /* the stream would go on inside this record */
	} else if (v == TLS_NONE || v == TLS_CLOSED) {
		assert(taken <= n);
	}
	return v == TLS_TEXT || v == TLS_NONE;
}

/* What the machine has to say, the server can read. */
static void speak_check(struct tls_pair *p)
{
	uint32_t len, taken;
	int n;

	if (tls_update_is_due(p->client)) {
		n = tls_seal_update(p->client, wire);
		assert(n > 0 && n <= (int)TLS_CONTROL_BYTES_MAX);
		assert(tls_open_flat(p->server, wire, (uint32_t)n, 7, text, &len, &taken) ==
			TLS_NONE);
		assert(!tls_update_is_due(p->client));
	}
	n = tls_seal_alert(p->client, wire);
	assert(n > 0 && tls_seal_alert(p->client, wire + n) < 0);
	assert(tls_open_flat(p->server, wire, (uint32_t)n, 7, text, &len, &taken) >= TLS_CLOSED);
}

/* One step of @len bytes at @at. False: over. */
static bool step(struct tls_pair *p, const uint8_t *at, uint32_t len, uint8_t what, uint32_t piece)
{
	uint8_t type = len > 0 ? at[0] : 0;
	const uint8_t *body = at + (len > 0);
	uint32_t body_len = len - (len > 0), n;
	uint64_t updates = p->client->info.rx_updates;
	bool goes_on;

	switch (what % STEP_COUNT) {
	case STEP_RAW:
		memcpy(wire, at, len);
		return open_check(p, len, piece, NULL, 0);
	case STEP_KEY:
		n = tls_craft(p->server, TLS_HANDSHAKE, (const uint8_t[]){24, 0, 0, 1, type & 1}, 5,
			0, wire);
		goes_on = open_check(p, n, piece, NULL, 0);
		server_follow(p, updates);
		return goes_on;
	default:
		type = what & 4 ? TLS_DATA : type;
		n = tls_craft(p->server, type, body, body_len, what & 8 ? what : 0, wire);
		if (what % STEP_COUNT == STEP_DAMAGED) {
			wire[what % n] ^= 1;
			(void)open_check(p, n, piece, NULL, 0);
			return false;
		}
		if (p->server->version == TLS_VERSION_1_3) /* type 0 is padding */
			while (type == 0 && body_len > 0)
				type = body[--body_len];
		goes_on = open_check(
			p, n, piece, type == TLS_DATA && body_len ? body : NULL, body_len);
		server_follow(p, updates);
		return goes_on;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_pair p;
	uint32_t piece;
	size_t at = 2;

	if (size < 3)
		return 0;
	tls_pair_make(&p, data[0] % TLS_KINDS);
	piece = 1u + data[1];
	while (at + 2 <= size) {
		uint8_t what = data[at];
		uint32_t len = data[at + 1];

		at += 2;
		len = len < size - at ? len : (uint32_t)(size - at);
		if (!step(&p, data + at, len, what, piece))
			break;
		at += len;
	}
	speak_check(&p);
	tls_pair_free(&p);
	return 0;
}
