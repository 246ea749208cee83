/*
 * tls_mail.c - a handshake between two threads, one letter at a time
 *
 * The only word both threads touch at the same time is turn, stored with release by who gives the
 * mail away and read with acquire by who looks whether it has it. A worker that loses its
 * connection while the control thread is at work does not call it back: it begins its next
 * handshake when the mail is its own again, and that letter makes the old handshake forgotten.
 *
 * GnuTLS's object lives from BEGIN to the answer that says DONE or FAILED, or to the next BEGIN.
 */
#include "nbd_client/tls/tls_mail.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum turn { TURN_WORKER, TURN_CONTROL };

static uint32_t turn_of(const struct tls_mail *m)
{
	return __atomic_load_n(&m->turn, __ATOMIC_ACQUIRE);
}

static void give(struct tls_mail *m, enum turn to)
{
	__atomic_store_n(&m->turn, to, __ATOMIC_RELEASE);
}

bool tls_mail_is_mine(const struct tls_mail *m)
{
	return turn_of(m) == TURN_WORKER;
}

void tls_mail_post(struct tls_mail *m)
{
	assert(tls_mail_is_mine(m));
	give(m, TURN_CONTROL);
}

/* Copies what the handshake has to say. */
static void answer(struct tls_mail *m)
{
	const uint8_t *out;
	size_t len;

	m->state = tls_shake_state(m->shake);
	out = tls_shake_out(m->shake, &len);
	assert(len <= sizeof(m->out));
	memcpy(m->out, out, len);
	m->out_bytes = (uint32_t)len;
	tls_shake_out_clear(m->shake);
	if (m->state == TLS_SHAKE_WANTS)
		return;
	if (m->state == TLS_SHAKE_DONE)
		tls_shake_keys(m->shake, &m->keys);
	else
		snprintf(m->error, sizeof(m->error), "%s", tls_shake_error(m->shake));
	tls_shake_end(m->shake);
	m->shake = NULL;
}

bool tls_mail_serve(struct tls_mail *m, const struct tls_creds *creds)
{
	if (turn_of(m) != TURN_CONTROL)
		return false;
	m->out_bytes = 0;
	if (m->ask == TLS_MAIL_BEGIN) {
		tls_shake_end(m->shake);
		m->shake = tls_shake_begin(creds, m->host);
	} else if (m->shake) {
		tls_shake_feed(m->shake, m->in, m->in_bytes);
	}
	if (m->shake) {
		answer(m);
	} else {
		m->state = TLS_SHAKE_FAILED;
		snprintf(m->error, sizeof(m->error), "no memory for a TLS handshake");
	}
	m->in_bytes = 0;
	give(m, TURN_WORKER);
	return true;
}

void tls_mail_end(struct tls_mail *m)
{
	tls_shake_end(m->shake);
	explicit_bzero(m, sizeof(*m));
}
