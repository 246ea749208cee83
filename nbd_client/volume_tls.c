/*
 * volume_tls.c - TLS on a connection: the handshake's bytes carried, records opened where they lie
 *
 *   OFF -> SHAKING (STARTTLS agreed on) -> ON (keys are here; the protocol machine starts over)
 *
 * The handshake runs on the control thread. The worker carries it one whole record at a time
 * (tls_mail.h), so that what follows its last record stays in the stream. Its deadline is the
 * negotiation's, and no step waits here: what is not here yet is looked for in the next turn.
 *
 * A record is opened only when it is whole, in the stream's mbufs, and its text is parsed and given
 * back before the next. So at most one record of a connection rests in mbufs, which
 * volume_tls_rest() has the stream's quota raised for. If it lies in more pieces than are looked at
 * in one go (a path with tiny segments), it is gathered in memory of the connection's own.
 *
 * Always: nothing is parsed that was not authentic, and after a fault the protocol machine is dead.
 */
#include "nbd_client/volume_tls.h"
#include "nbd_client/nbd_conn_priv.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAIL_POLL_US 1000u /* the control thread's answer is looked for this often */

/* ---- control thread ---- */

int volume_tls_create(struct volume_conn *vc)
{
	const struct volume_tls_config *cfg = vc->volume->cfg.tls;

	vc->tls = calloc(1, sizeof(*vc->tls));
	if (!vc->tls)
		return -ENOMEM;
	vc->tls->records = tls_records_create();
	vc->tls->tx.bufs = cfg->bufs + (size_t)vc->idx * TLS_TX_BUFS;
	return vc->tls->records ? 0 : -ENOMEM;
}

void volume_tls_destroy(struct volume_conn *vc)
{
	if (!vc->tls)
		return;
	tls_mail_end(&vc->tls->mail);
	tls_records_destroy(vc->tls->records);
	explicit_bzero(vc->tls, sizeof(*vc->tls));
	free(vc->tls);
	vc->tls = NULL;
}

bool volume_tls_serve(struct volume *v)
{
	bool is_any = false;

	for (unsigned i = 0; v->cfg.tls && i < v->cfg.connections; i++)
		is_any |= tls_mail_serve(&v->conns[i].tls->mail, v->cfg.tls->creds);
	return is_any;
}

uint32_t volume_tls_rest(uint32_t mbuf_payload_min)
{
	return (TLS_RECORD_BYTES_MAX + mbuf_payload_min - 1) / mbuf_payload_min + 1;
}

size_t volume_tls_bytes(void)
{
	return sizeof(struct conn_tls) + tls_records_bytes();
}

/* ---- the handshake ---- */

/* It is over, for this reason. */
static void tls_die(struct volume_conn *vc, enum nbd_fault fault, const char *why)
{
	struct nbd_event ev;

	if (vc->nbd.state < NBD_CLOSED)
		nbd_conn_die(&vc->nbd, fault, &ev, "%s", why);
}

bool volume_tls_may_open(const struct volume_conn *vc)
{
	return !vc->tls || tls_mail_is_mine(&vc->tls->mail);
}

void volume_tls_open(struct volume_conn *vc)
{
	struct conn_tls *t = vc->tls;

	t->state = CONN_TLS_OFF;
	t->is_broken = false;
	t->gathered = 0;
	t->tx.cur = 0;
	t->tx.used = 0;
	memset(t->tx.end, 0, sizeof(t->tx.end));
	nbd_conn_require_tls(&vc->nbd);
}

void volume_tls_begin(struct volume_conn *vc)
{
	const char *name = vc->volume->cfg.tls->hostname;
	struct tls_mail *m = &vc->tls->mail;

	assert(vc->tls->state == CONN_TLS_OFF && tls_mail_is_mine(m));
	vc->tls->state = CONN_TLS_SHAKING;
	vc->tls->out_at = 0;
	snprintf(m->host, sizeof(m->host), "%s", name ? name : volume_uri_now(vc->volume)->host);
	m->ask = TLS_MAIL_BEGIN;
	m->in_bytes = 0;
	tls_mail_post(m);
}

bool volume_tls_is_shaking(const struct volume_conn *vc)
{
	return vc->tls && vc->tls->state == CONN_TLS_SHAKING;
}

uint64_t volume_tls_deadline(const struct volume_conn *vc)
{
	bool is_waiting = vc->state == CONN_IDLE ? !volume_tls_may_open(vc)
						 : volume_tls_is_shaking(vc) &&
							   !tls_mail_is_mine(&vc->tls->mail);

	return is_waiting ? vc->volume->now_us + MAIL_POLL_US : UINT64_MAX;
}

/* Sends what the handshake said. False: not all of it yet. */
static bool mail_send(struct volume_conn *vc)
{
	struct conn_tls *t = vc->tls;

	while (t->out_at < t->mail.out_bytes) {
		uint32_t left = t->mail.out_bytes - t->out_at;
		uint32_t part = left < STREAM_INLINE_BYTES_MAX ? left : STREAM_INLINE_BYTES_MAX;

		if (stream_send_copy(vc->stream, t->mail.out + t->out_at, part) < 0)
			return false; /* full: next turn; dead: the event says so */
		t->out_at += part;
	}
	return true;
}

/* Copies up to @want bytes of the stream behind what @to has. Out: bytes it has then. */
static uint32_t stream_take(struct volume_conn *vc, uint8_t *to, uint32_t have, uint32_t want)
{
	struct stream_span spans[NBD_SPAN_MAX];
	unsigned n = stream_peek(vc->stream, spans, NBD_SPAN_MAX);
	uint32_t before = have;

	for (unsigned i = 0; i < n && have < want; i++) {
		uint32_t part = spans[i].len < want - have ? spans[i].len : want - have;

		memcpy(to + have, spans[i].bytes, part);
		have += part;
	}
	stream_consume(vc->stream, have - before);
	return have;
}

/* The next record for the handshake, and not a byte more. */
static void record_carry(struct volume_conn *vc)
{
	struct tls_mail *m = &vc->tls->mail;
	uint32_t want, had;

	do {
		want = tls_shake_record_bytes(m->in, m->in_bytes);
		if (want == 0) {
			tls_die(vc, NBD_FAULT_LIE, "plaintext where TLS was agreed on");
			return;
		}
		had = m->in_bytes;
		m->in_bytes = stream_take(vc, m->in, had, want);
		if (m->in_bytes == want && want > TLS_HEADER_BYTES) {
			m->ask = TLS_MAIL_FEED;
			vc->tls->out_at = 0;
			tls_mail_post(m);
			return;
		}
	} while (m->in_bytes > had);
}

/* The keys are here. */
static void shaken(struct volume_conn *vc)
{
	struct conn_tls *t = vc->tls;
	struct nbd_event ev;
	int rc = tls_records_start(t->records, &t->mail.keys);

	explicit_bzero(&t->mail.keys, sizeof(t->mail.keys));
	if (rc < 0) {
		tls_die(vc, NBD_FAULT_LOST, "the TLS handshake agreed on unusable keys");
		return;
	}
	t->state = CONN_TLS_ON;
	vc->is_readable = true; /* there may be records already */
	if (vc->nbd.state == NBD_WAIT_TLS)
		nbd_conn_secured(&vc->nbd, &ev);
}

void volume_tls_shake(struct volume_conn *vc)
{
	struct conn_tls *t = vc->tls;

	vc->is_readable = false;
	if (!tls_mail_is_mine(&t->mail) || vc->nbd.state >= NBD_CLOSED)
		return;
	if (!mail_send(vc) && t->mail.state != TLS_SHAKE_FAILED)
		return;
	if (t->mail.state == TLS_SHAKE_FAILED)
		tls_die(vc, NBD_FAULT_REFUSED, t->mail.error);
	else if (t->mail.state == TLS_SHAKE_DONE)
		shaken(vc);
	else
		record_carry(vc);
}

/* ---- records ---- */

bool volume_tls_is_on(const struct volume_conn *vc)
{
	return vc->tls && vc->tls->state == CONN_TLS_ON;
}

/* The first record of what the stream has. As tls_open(), and @spent is what it is to consume. */
static enum tls_verdict open_in_place(
	struct volume_conn *vc, struct iovec *pieces, unsigned *count, uint32_t *spent)
{
	struct stream_span spans[NBD_SPAN_MAX];
	unsigned n = stream_peek(vc->stream, spans, NBD_SPAN_MAX);
	struct conn_tls *t = vc->tls;
	enum tls_verdict v;
	uint32_t total = 0;

	for (unsigned i = 0; i < n; i++) {
		pieces[i] = (struct iovec){spans[i].bytes, spans[i].len};
		total += spans[i].len;
	}
	*count = n;
	v = tls_open(t->records, pieces, count, spent);
	if (v != TLS_MORE || n < NBD_SPAN_MAX || total >= *spent)
		return v;
	t->gathered = stream_take(vc, t->gather, 0, *spent);
	return TLS_MORE;
}

/* A record of which a part was gathered already, and so consumed; *cost is its length. */
static enum tls_verdict open_gathered(
	struct volume_conn *vc, struct iovec *pieces, unsigned *count, uint32_t *cost)
{
	struct conn_tls *t = vc->tls;
	uint32_t want, had = 0;
	enum tls_verdict v;

	do {
		pieces[0] = (struct iovec){t->gather, t->gathered};
		*count = 1;
		v = tls_open(t->records, pieces, count, &want);
		if (v != TLS_MORE)
			break;
		had = t->gathered;
		t->gathered = stream_take(vc, t->gather, had, want);
	} while (t->gathered > had);
	*cost = t->gathered;
	if (v != TLS_MORE)
		t->gathered = 0; /* its text is valid until the next is gathered */
	return v;
}

/* What comes of a record. False: nothing more is to be read in this turn. */
static bool deal(struct volume_conn *vc, enum tls_verdict v, const struct iovec *pieces,
	unsigned count, uint32_t spent)
{
	switch (v) {
	case TLS_MORE:
		vc->is_readable = vc->tls->gathered > 0 && spent > 0;
		return vc->is_readable;
	case TLS_TEXT:
		for (unsigned i = 0; i < count; i++)
			volume_conn_feed(vc, pieces[i].iov_base, pieces[i].iov_len);
		break;
	case TLS_NONE:
		break;
	case TLS_CLOSED:
		vc->is_readable = false;
		nbd_conn_eof(&vc->nbd);
		break;
	case TLS_DEAD:
		vc->is_readable = false;
		tls_die(vc, NBD_FAULT_LIE, tls_records_error(vc->tls->records));
		return false;
	}
	if (spent > 0)
		stream_consume(vc->stream, spent);
	return v != TLS_CLOSED;
}

void volume_tls_read(struct volume_conn *vc)
{
	size_t budget = NBD_TURN_BYTES_MAX;
	bool goes_on = true;

	if (vc->tls->is_broken)
		tls_die(vc, NBD_FAULT_LOST, "a TLS record could not be sent");
	vc->is_readable = true;
	while (goes_on && budget > 0 && volume_conn_is_heard(vc)) {
		struct iovec pieces[NBD_SPAN_MAX];
		bool is_gathered = vc->tls->gathered > 0;
		uint32_t bytes = 0;
		unsigned count = 0;
		enum tls_verdict v = is_gathered ? open_gathered(vc, pieces, &count, &bytes)
						 : open_in_place(vc, pieces, &count, &bytes);

		goes_on = deal(vc, v, pieces, count, is_gathered ? 0 : bytes);
		if (v != TLS_MORE)
			budget -= bytes < budget ? bytes : budget;
	}
}
