/*
 * test_tls_shake.c - handshakes with GnuTLS as the server, then data and key changes both ways
 *
 * Certificates and keys are made here, in a folder of their own. The server's bytes are cut into
 * records, and one at a time is fed, so what follows the handshake's last record is still there for
 * the record machine: tickets, data, KeyUpdates by an implementation that is not ours.
 */
#include "tests/unit/nbd_client/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/tls/tls_shake.h"
#include "tests/unit/nbd_client/tls_pair.h"
#include "tests/unit/nbd_client/tls_server.h"

#define DAY_S 86400l

static char dir[] = "/tmp/test_tls_shake_XXXXXX";

#define PSK_ANY "NORMAL:-KX-ALL:+ECDHE-PSK:+DHE-PSK:+PSK"
#define V12	":-VERS-ALL:+VERS-TLS1.2"

/* What servers may insist on, and what must come of it. */
static const struct kind {
	const char *priority;
	bool is_psk;
	enum tls_version version;
	enum tls_aead aead;
} kinds[] = {
	{"NORMAL", false, TLS_VERSION_1_3, TLS_AES_128_GCM},
	{"NORMAL:-CIPHER-ALL:+AES-256-GCM", false, TLS_VERSION_1_3, TLS_AES_256_GCM},
	{"NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305", false, TLS_VERSION_1_3, TLS_CHACHA20_POLY1305},
	{"NORMAL" V12, false, TLS_VERSION_1_2, TLS_AES_128_GCM},
	{"NORMAL:-CIPHER-ALL:+AES-256-GCM" V12, false, TLS_VERSION_1_2, TLS_AES_256_GCM},
	{"NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305" V12, false, TLS_VERSION_1_2,
		TLS_CHACHA20_POLY1305},
	{PSK_ANY, true, TLS_VERSION_1_3, TLS_AES_128_GCM},
	{PSK_ANY V12, true, TLS_VERSION_1_2, TLS_CHACHA20_POLY1305},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* A path in the folder, valid until the next but three. */
static const char *path(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *out = paths[next++ % 4];

	snprintf(out, sizeof(paths[0]), "%s/%s", dir, name);
	return out;
}

static struct tls_creds *creds(const char *ca, const char *own, const char *psk)
{
	char cert[64], key[64];
	struct tls_creds_files files = {.ca = ca ? path(ca) : NULL, .psk = psk ? path(psk) : NULL};
	struct tls_creds *c;
	struct error err;

	if (own) {
		snprintf(cert, sizeof(cert), "%s.pem", own);
		snprintf(key, sizeof(key), "%s.key", own);
		files.cert = path(cert);
		files.key = path(key);
	}
	c = tls_creds_load(&files, &err);
	if (!c)
		print_error("%s\n", err.text);
	assert_non_null(c);
	return c;
}

/* Both turn until the client has ended; what the client leaves of the server's bytes stays. */
static enum tls_shake_state shake(struct tls_shake *c, struct tls_server *s)
{
	for (unsigned round = 0; round < 100; round++) {
		struct tls_pipe *p = &s->out;
		const uint8_t *out;
		uint32_t n;
		size_t len;

		out = tls_shake_out(c, &len);
		tls_pipe_put(&s->in, out, len);
		tls_shake_out_clear(c);
		tls_server_turn(s);
		if (tls_shake_state(c) != TLS_SHAKE_WANTS || p->at == p->len)
			break;
		n = tls_shake_record_bytes(p->bytes + p->at, p->len - p->at);
		assert_true(n >= TLS_HEADER_BYTES && n <= p->len - p->at);
		p->at += n;
		tls_shake_feed(c, p->bytes + p->at - n, n);
	}
	return tls_shake_state(c);
}

/* All records that wait at the server, to the client. Out: bytes of text, at @text. */
static uint32_t receive(struct tls_records *r, struct tls_server *s, uint8_t *text)
{
	static uint8_t one[TLS_RECORD_BYTES_MAX];
	struct tls_pipe *p = &s->out;
	uint32_t total = 0, len, taken;

	while (p->at < p->len) {
		enum tls_verdict v = tls_open_flat(r, p->bytes + p->at, (uint32_t)(p->len - p->at),
			1440, one, &len, &taken);

		if (v == TLS_DEAD)
			print_error("%s\n", tls_records_error(r));
		assert_true(v == TLS_TEXT || v == TLS_NONE);
		memcpy(text + total, one, len);
		total += len;
		p->at += taken;
	}
	return total;
}

static void send(struct tls_records *r, struct tls_server *s, uint8_t *bytes, uint32_t len)
{
	static uint8_t record[TLS_RECORD_BYTES_MAX];
	struct iovec text = {bytes, len};
	int n;

	if (tls_update_is_due(r)) {
		n = tls_seal_update(r, record);
		assert_true(n > 0);
		tls_pipe_put(&s->in, record, (size_t)n);
	}
	n = tls_seal(r, &text, 1, record);
	assert_true(n > 0);
	tls_pipe_put(&s->in, record, (size_t)n);
}

/*
 * Data in both directions; with @updates the server changes its key each time, and asks for ours
 * five times: GnuTLS ends a connection on more than eight KeyUpdates in a second.
 */
static void talk(struct tls_records *r, struct tls_server *s, bool updates)
{
	static uint8_t said[TLS_TEXT_BYTES_MAX], heard[4 * TLS_TEXT_BYTES_MAX];

	for (unsigned i = 0; i < 40; i++) {
		uint32_t len = i % 5 == 4 ? TLS_TEXT_BYTES_MAX : 1 + 997 * i % 5000;

		memset(said, (int)(i + 1), sizeof(said));
		if (updates)
			assert_int_equal(gnutls_session_key_update(s->session,
						 i % 8 ? 0 : GNUTLS_KU_PEER),
				0);
		tls_server_say(s, said, len);
		assert_int_equal(receive(r, s, heard), len);
		assert_memory_equal(heard, said, len);
		said[0] = 7;
		send(r, s, said, len);
		tls_server_hear(s, heard, len);
		assert_memory_equal(heard, said, len);
	}
}

static struct tls_records *records_of(const struct tls_shake *c)
{
	struct tls_records *r = tls_records_create();
	struct tls_keys keys;

	assert_non_null(r);
	tls_shake_keys(c, &keys);
	assert_int_equal(tls_records_start(r, &keys), 0);
	return r;
}

static void data_passes_after_every_handshake(void **state)
{
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		const struct kind *k = &kinds[i];
		struct tls_creds *cr = k->is_psk ? creds(NULL, NULL, "good.psk")
						 : creds("ca.pem", NULL, NULL);
		struct tls_server *s =
			tls_server_make(dir, k->is_psk ? NULL : "server", k->priority);
		struct tls_shake *c = tls_shake_begin(cr, "storage.example");
		struct tls_records_info info;
		struct tls_records *r;
		struct tls_keys keys;

		assert_non_null(c);
		if (shake(c, s) == TLS_SHAKE_FAILED)
			print_error("kind %u: %s\n", i, tls_shake_error(c));
		assert_int_equal(tls_shake_state(c), TLS_SHAKE_DONE);
		assert_true(s->is_done);
		tls_shake_keys(c, &keys);
		assert_int_equal(keys.version, k->version);
		assert_int_equal(keys.aead, k->aead);
		r = records_of(c);
		talk(r, s, k->version == TLS_VERSION_1_3);
		tls_records_info(r, &info);
		assert_int_equal(info.rx_updates, k->version == TLS_VERSION_1_3 ? 40 : 0);
		assert_int_equal(info.tx_updates, k->version == TLS_VERSION_1_3 ? 5 : 0);
		tls_records_destroy(r);
		tls_shake_end(c);
		tls_server_free(s);
		tls_creds_free(cr);
	}
}

/* Servers that must be refused, or that refuse, and the sentence. */
static const struct refusal {
	const char *cert, *priority, *ca, *psk, *host, *why;
	bool demands;
} refusals[] = {
	{"server", "NORMAL", "other.pem", NULL, "storage.example", "not signed by an authority"},
	{"server", "NORMAL" V12, "other.pem", NULL, "storage.example", "not signed by an"},
	{"expired", "NORMAL", "ca.pem", NULL, "storage.example", "has expired"},
	{"early", "NORMAL", "ca.pem", NULL, "storage.example", "not valid yet"},
	{"server", "NORMAL", "ca.pem", NULL, "elsewhere.example", "for another name"},
	{"server", "NORMAL", "ca.pem", NULL, "192.0.2.2", "for another name"},
	{NULL, PSK_ANY, NULL, "wrong.psk", "x", "check user and key of tls_psk"},
	{NULL, PSK_ANY V12, NULL, "wrong.psk", "x", "check user and key of tls_psk"},
	{NULL, PSK_ANY, NULL, "stranger.psk", "x", "check user and key of tls_psk"},
	{"server", "NORMAL", NULL, "good.psk", "x", "has certificates and no pre-shared key"},
	{NULL, PSK_ANY, "ca.pem", NULL, "x", "refused the TLS handshake"},
	{"server", "NORMAL:-VERS-ALL:+VERS-TLS1.1:-CIPHER-ALL:+AES-128-CBC", "ca.pem", NULL,
		"storage.example", "refused the TLS handshake"},
	{"server", "NORMAL" V12 ":-CIPHER-ALL:+AES-128-CBC", "ca.pem", NULL, "storage.example",
		"refused the TLS handshake"},
	{"server", "NORMAL" V12 ":%NO_EXTENSIONS", "ca.pem", NULL, "storage.example",
		"extended master secret"},
	{"server", "NORMAL" V12, "ca.pem", NULL, "storage.example", "refused the TLS handshake",
		.demands = true},
};

static void refusals_name_the_remedy(void **state)
{
	for (unsigned i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *f = &refusals[i];
		struct tls_creds *cr = creds(f->ca, NULL, f->psk);
		struct tls_server *s = tls_server_make(dir, f->cert, f->priority);
		struct tls_shake *c = tls_shake_begin(cr, f->host);

		assert_non_null(c);
		if (f->demands)
			tls_server_demand(s, dir, "ca");
		if (shake(c, s) != TLS_SHAKE_FAILED)
			print_error("refusal %u went well\n", i);
		assert_int_equal(tls_shake_state(c), TLS_SHAKE_FAILED);
		if (!strstr(tls_shake_error(c), f->why))
			print_error("refusal %u: %s\n", i, tls_shake_error(c));
		assert_has(tls_shake_error(c), f->why);
		tls_shake_end(c);
		tls_server_free(s);
		tls_creds_free(cr);
	}
}

static void an_address_in_the_certificate_counts(void **state)
{
	struct tls_creds *cr = creds("ca.pem", NULL, NULL);
	struct tls_server *s = tls_server_make(dir, "server", "NORMAL");
	struct tls_shake *c = tls_shake_begin(cr, "192.0.2.1");

	assert_int_equal(shake(c, s), TLS_SHAKE_DONE);
	tls_shake_end(c);
	tls_server_free(s);
	tls_creds_free(cr);
}

static void a_client_shows_its_certificate(void **state)
{
	for (unsigned v = 0; v < 2; v++) {
		struct tls_creds *cr = creds("ca.pem", "client", NULL);
		struct tls_server *s = tls_server_make(dir, "server", v ? "NORMAL" : "NORMAL" V12);
		struct tls_shake *c = tls_shake_begin(cr, "storage.example");
		struct tls_records *r;

		tls_server_demand(s, dir, "ca");
		assert_int_equal(shake(c, s), TLS_SHAKE_DONE);
		assert_true(s->is_done);
		r = records_of(c);
		talk(r, s, false);
		tls_records_destroy(r);
		tls_shake_end(c);
		tls_server_free(s);
		tls_creds_free(cr);
	}
}

/*
 * One handshake in which byte @at of the server's first flight is turned. Out: the flight's length;
 * *passed is counted up if both ends were content, and then data must pass.
 */
static size_t damaged(
	const struct tls_creds *cr, const char *priority, size_t at, unsigned *passed)
{
	struct tls_server *s = tls_server_make(dir, NULL, priority);
	struct tls_shake *c = tls_shake_begin(cr, "x");
	const uint8_t *out;
	size_t len, flight;

	out = tls_shake_out(c, &len);
	tls_pipe_put(&s->in, out, len);
	tls_shake_out_clear(c);
	tls_server_turn(s);
	flight = s->out.len;
	s->out.bytes[at] ^= 0x10;
	while (tls_shake_state(c) == TLS_SHAKE_WANTS) {
		const uint8_t *from = s->out.bytes + s->out.at;
		size_t left = s->out.len - s->out.at;
		uint32_t n = tls_shake_record_bytes(from, left);

		if (n == 0 || n > left || left == 0)
			break;
		s->out.at += n;
		tls_shake_feed(c, from, n);
	}
	out = tls_shake_out(c, &len);
	tls_pipe_put(&s->in, out, len);
	tls_server_turn(s);
	if (s->is_done && tls_shake_state(c) == TLS_SHAKE_DONE) {
		struct tls_records *r = records_of(c);

		talk(r, s, false);
		tls_records_destroy(r);
		++*passed;
	}
	tls_shake_end(c);
	tls_server_free(s);
	return flight;
}

/* What no message covers, a record's version and 1.3's dummy ChangeCipherSpec, may be damaged. */
static void a_damaged_handshake_does_not_succeed(void **state)
{
	struct tls_creds *cr = creds(NULL, NULL, "good.psk");

	for (unsigned v = 0; v < 2; v++) {
		unsigned passed = 0;
		size_t flight = 1;

		for (size_t at = 0; at < flight; at++)
			flight = damaged(cr, v ? PSK_ANY : PSK_ANY V12, at, &passed);
		assert_true(flight > 100);
		if (passed > 8)
			print_error("%u damaged bytes of %zu passed\n", passed, flight);
		assert_true(passed <= 8);
	}
	tls_creds_free(cr);
}

static void garbage_is_no_record(void **state)
{
	static const uint8_t nbd[] = "NBDMAGICIHAVEOPT", big[] = {22, 3, 3, 0x48, 1};
	static const uint8_t ok[] = {22, 3, 1, 0x48, 0};

	assert_int_equal(tls_shake_record_bytes(nbd, 1), 0);
	assert_int_equal(tls_shake_record_bytes(big, 5), 0);
	assert_int_equal(tls_shake_record_bytes(ok, 5), 5 + 0x4800);
	for (size_t have = 0; have < 5; have++)
		assert_int_equal(tls_shake_record_bytes(ok, have), TLS_HEADER_BYTES);
}

static void psk_put(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(path(name), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path(name), mode), 0);
}

static int world_make(void **state)
{
	static const struct tls_cert_wish wishes[] = {
		{"ca", NULL, NULL, NULL, -DAY_S, DAY_S},
		{"other", NULL, NULL, NULL, -DAY_S, DAY_S},
		{"server", "ca", "storage.example", "192.0.2.1", -DAY_S, DAY_S},
		{"expired", "ca", "storage.example", NULL, -2 * DAY_S, -DAY_S},
		{"early", "ca", "storage.example", NULL, DAY_S / 2, DAY_S},
		{"client", "ca", NULL, NULL, -DAY_S, DAY_S},
	};
	char good[128] = "swap:", wrong[128] = "swap:", stranger[128] = "nobody:";

	if (!mkdtemp(dir))
		return -1;
	for (unsigned i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		tls_cert_make(dir, &wishes[i]);
	for (unsigned i = 0; i < 32; i++) {
		strcat(good, "ab");
		strcat(wrong, "cd");
		strcat(stranger, "ab");
	}
	psk_put("good.psk", good, 0600);
	psk_put("wrong.psk", wrong, 0600);
	psk_put("stranger.psk", stranger, 0600);
	return 0;
}

static int world_end(void **state)
{
	return tls_dir_remove(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_passes_after_every_handshake),
		cmocka_unit_test(refusals_name_the_remedy),
		cmocka_unit_test(an_address_in_the_certificate_counts),
		cmocka_unit_test(a_client_shows_its_certificate),
		cmocka_unit_test(a_damaged_handshake_does_not_succeed),
		cmocka_unit_test(garbage_is_no_record),
	};

	return cmocka_run_group_tests(tests, world_make, world_end);
}
