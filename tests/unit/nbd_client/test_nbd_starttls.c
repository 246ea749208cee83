/*
 * test_nbd_starttls.c - STARTTLS in the protocol machine: first, once, and nothing in plaintext
 *
 * What lies between NBD_EVENT_TLS and nbd_conn_secured() is another machine's; here it is one call.
 */
#include "tests/unit/nbd_client/check.h"
#include <stdlib.h>
#include "nbd_client/nbd_conn.h"

/* Texts of the wire, with their lengths: zeroes are in them. */
#define FIXED	 "NBDMAGICIHAVEOPT\0\3"
#define PLAIN	 "NBDMAGICIHAVEOPT\0\0"
#define REPLY	 "\0\3\xe8\x89\4\x55\x65\xa9"
#define TLS_ACK	 REPLY "\0\0\0\5\0\0\0\1\0\0\0\0"
#define TLS_DATA REPLY "\0\0\0\5\0\0\0\1\0\0\0\1x"
#define TLS_INFO REPLY "\0\0\0\5\0\0\0\3\0\0\0\0"
#define TLS_NO	 REPLY "\0\0\0\5\x80\0\0\1\0\0\0\0"
#define TLS_WHY	 REPLY "\0\0\0\5\x80\0\0\2\0\0\0\7not you"
#define TLS_END	 REPLY "\0\0\0\5\x80\0\0\7\0\0\0\0"
#define GO_READY                                                                                   \
	REPLY "\0\0\0\10\0\0\0\1\0\0\0\0" REPLY "\0\0\0\7\0\0\0\3\0\0\0\14"                        \
	      "\0\0\0\0\0\0\0\x10\0\0\0\1" REPLY "\0\0\0\7\0\0\0\1\0\0\0\0"
#define SAID_FLAGS    "\0\0\0\3"
#define SAID_STARTTLS "IHAVEOPT\0\0\0\5\0\0\0\0"
#define SAID_ABORT    "IHAVEOPT\0\0\0\2\0\0\0\0"
#define SAID_GO                                                                                    \
	"IHAVEOPT\0\0\0\10\0\0\0\0"                                                                \
	"IHAVEOPT\0\0\0\7\0\0\0\14\0\0\0\4disk\0\1\0\3"

static struct nbd_conn *conn_new(void)
{
	struct nbd_conn *c = malloc(sizeof(*c));

	assert_non_null(c);
	nbd_conn_init(c, "disk", false);
	nbd_conn_require_tls(c);
	return c;
}

/* Feeds text @step bytes at a time up to its first event. Out: how much was taken. */
static size_t feed(
	struct nbd_conn *c, const char *text, size_t len, size_t step, struct nbd_event *ev)
{
	size_t at = 0;

	ev->type = NBD_EVENT_NONE;
	while (at < len && ev->type == NBD_EVENT_NONE) {
		size_t part = len - at < step ? len - at : step;

		at += nbd_conn_feed(c, (const uint8_t *)text + at, part, ev);
	}
	return at;
}

/* All that was said since the last time is this. */
static void said(struct nbd_conn *c, const char *text, size_t len)
{
	size_t out_len;
	const uint8_t *out = nbd_conn_output(c, &out_len);

	assert_int_equal(out_len, len);
	assert_memory_equal(out, text, len);
	nbd_conn_sent(c, out_len);
}

#define SAID(c, text)		  said(c, text, sizeof(text) - 1)
#define FEED(c, text, step, ev) feed(c, text, sizeof(text) - 1, step, ev)

static void starttls_comes_first_and_options_start_over(void **state)
{
	for (size_t step = 1; step < 50; step++) {
		struct nbd_conn *c = conn_new();
		struct nbd_event ev;
		size_t taken;

		taken = FEED(c, FIXED TLS_ACK "\x16", step, &ev);
		assert_int_equal(ev.type, NBD_EVENT_TLS);
		assert_int_equal(taken, sizeof(FIXED TLS_ACK) - 1); /* the TLS byte is left */
		assert_int_equal(c->state, NBD_WAIT_TLS);
		SAID(c, SAID_FLAGS SAID_STARTTLS);
		nbd_conn_secured(c, &ev);
		assert_int_equal(ev.type, NBD_EVENT_NONE);
		FEED(c, GO_READY, step, &ev);
		assert_int_equal(ev.type, NBD_EVENT_READY);
		SAID(c, SAID_GO);
		assert_int_equal(c->export.size_bytes, 1 << 20);
		free(c);
	}
}

static void a_server_without_tls_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		enum nbd_fault fault;
		const char *why;
	} cases[] = {
		{FIXED TLS_NO, sizeof(FIXED TLS_NO) - 1, NBD_FAULT_REFUSED, "does not do TLS"},
		{FIXED TLS_WHY, sizeof(FIXED TLS_WHY) - 1, NBD_FAULT_REFUSED, "not you"},
		{FIXED TLS_END, sizeof(FIXED TLS_END) - 1, NBD_FAULT_LOST, "shutting down"},
		{FIXED TLS_DATA, sizeof(FIXED TLS_DATA) - 1, NBD_FAULT_LIE, "of 1 bytes"},
		{FIXED TLS_INFO, sizeof(FIXED TLS_INFO) - 1, NBD_FAULT_LIE, "reply 3"},
		{PLAIN, sizeof(PLAIN) - 1, NBD_FAULT_REFUSED, "cannot do TLS"},
		/* The answer to another option than was asked for is no agreement. */
		{FIXED GO_READY, sizeof(FIXED GO_READY) - 1, NBD_FAULT_LIE, "instead of option 5"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nbd_conn *c = conn_new();
		struct nbd_event ev;
		const uint8_t *out;
		size_t len;

		feed(c, cases[i].text, cases[i].len, SIZE_MAX, &ev);
		assert_int_equal(ev.type, NBD_EVENT_DEAD);
		assert_int_equal(c->fault, cases[i].fault);
		if (!strstr(c->error, cases[i].why))
			print_error("'%s' instead of '%s'\n", c->error, cases[i].why);
		assert_has(c->error, cases[i].why);
		/* No export's name was said in plaintext. */
		out = nbd_conn_output(c, &len);
		assert_null(memmem(out, len, "disk", 4));
		free(c);
	}
}

static void plaintext_behind_the_agreement_is_fatal(void **state)
{
	struct nbd_conn *c = conn_new();
	struct nbd_event ev;

	FEED(c, FIXED TLS_ACK, SIZE_MAX, &ev);
	assert_int_equal(ev.type, NBD_EVENT_TLS);
	FEED(c, GO_READY, SIZE_MAX, &ev); /* an owner who forgets the handshake */
	assert_int_equal(ev.type, NBD_EVENT_DEAD);
	assert_int_equal(c->fault, NBD_FAULT_LIE);
	assert_has(c->error, "plaintext");
	free(c);
}

static void nothing_is_said_between_agreement_and_handshake(void **state)
{
	struct nbd_conn *c = conn_new();
	struct nbd_event ev;

	/* Closed while TLS's handshake runs: a good-bye would be plaintext. */
	FEED(c, FIXED TLS_ACK, SIZE_MAX, &ev);
	SAID(c, SAID_FLAGS SAID_STARTTLS);
	nbd_conn_close(c);
	SAID(c, "");
	assert_int_equal(c->state, NBD_CLOSED);
	free(c);

	/* Closed while STARTTLS is unanswered: its ACK is the last that is plaintext. */
	c = conn_new();
	FEED(c, FIXED, SIZE_MAX, &ev);
	nbd_conn_close(c);
	SAID(c, SAID_FLAGS SAID_STARTTLS);
	FEED(c, TLS_ACK, SIZE_MAX, &ev);
	assert_int_equal(c->state, NBD_CLOSED);
	SAID(c, "");
	free(c);

	/* Secured, the good-bye is as ever. */
	c = conn_new();
	FEED(c, FIXED TLS_ACK, SIZE_MAX, &ev);
	nbd_conn_secured(c, &ev);
	FEED(c, REPLY "\0\0\0\10\0\0\0\1\0\0\0\0", SIZE_MAX, &ev);
	SAID(c, SAID_FLAGS SAID_STARTTLS SAID_GO);
	nbd_conn_refuse(c, NBD_FAULT_REFUSED, &ev, "changed our mind");
	FEED(c, REPLY "\0\0\0\7\x80\0\0\2\0\0\0\0", SIZE_MAX, &ev);
	SAID(c, SAID_ABORT);
	free(c);
}

static void the_end_during_tls_is_a_loss(void **state)
{
	struct nbd_conn *c = conn_new();
	struct nbd_event ev;

	FEED(c, FIXED TLS_ACK, SIZE_MAX, &ev);
	nbd_conn_eof(c);
	assert_int_equal(c->state, NBD_DEAD);
	assert_int_equal(c->fault, NBD_FAULT_LOST);
	assert_has(c->error, "ended the TLS handshake");
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starttls_comes_first_and_options_start_over),
		cmocka_unit_test(a_server_without_tls_is_refused),
		cmocka_unit_test(plaintext_behind_the_agreement_is_fatal),
		cmocka_unit_test(nothing_is_said_between_agreement_and_handshake),
		cmocka_unit_test(the_end_during_tls_is_a_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
