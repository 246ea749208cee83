/*
 * volume_soft.c - soft disconnects: good-bye in the protocol's words, the server's FIN, then ours
 *
 * The protocol allows a reset only where the server broke it. Whatever else ends a connection that
 * was opened (a refusal, the server's or ours, ESHUTDOWN, detach, by force too, a probe) goes
 *
 *	PARTING: [the option's last reply] -> ABORT, FIN  or  DISC -> the server's FIN -> our FIN
 *
 * DISC waits for the server's FIN, so that ours is the second and leaves no TIME-WAIT. ABORT may be
 * answered or not, so our FIN follows at once and the answer is read and forgotten: a stream that
 * was released would answer it with a reset. All of it has NBD_PART_US; then a server that has
 * acknowledged everything gets our FIN, and one that has not a reset, for the memory that its
 * unacknowledged payload rests in is about to go.
 *
 * A connection that was lost, timed out or lied on is reset (volume_lost.c): nothing more of what
 * was sent may be carried out there after its replay. Requests in flight at the time of parting are
 * in line for replay again, or the caller's to fail; PARTING holds no sub and no credit.
 */
#include "nbd_client/volume_priv.h"
#include <errno.h>

void volume_conn_part(struct volume_conn *vc, int err)
{
	if (vc->state == CONN_IDLE || vc->state == CONN_PARTING)
		return;
	if (vc->state == CONN_OPENING) {
		volume_conn_abort(vc);
		return;
	}
	volume_conn_unserve(vc);
	nbd_conn_close(&vc->nbd);
	vc->state = CONN_PARTING;
	vc->part_err = err;
	vc->is_shut = false;
	vc->deadline_us = vc->volume->now_us + NBD_PART_US;
}

/* Both sides have closed, or time is up: the last of the connection. */
static void part_end(struct volume_conn *vc)
{
	bool is_refused = vc->nbd.fault != NBD_FAULT_NONE, is_dead = vc->event_bits & STREAM_DEAD;
	const char *why = is_refused ? vc->nbd.error : "the server is shutting down";
	int err = vc->part_err;

	if (!is_dead && stream_acked(vc->stream) == stream_queued(vc->stream)) {
		(void)stream_shutdown(vc->stream);
		stream_release(vc->stream);
		vc->stream = NULL;
	}
	if (err)
		volume_conn_lose(vc, err, why);
	else
		volume_conn_abort(vc);
}

void volume_conn_part_turn(struct volume_conn *vc)
{
	bool is_over = vc->event_bits & (STREAM_EOF | STREAM_DEAD);
	size_t len;

	volume_conn_flush(vc);
	(void)nbd_conn_output(&vc->nbd, &len);
	if (vc->nbd.is_abort_said && len == 0 && !vc->is_shut && !is_over) {
		vc->is_shut = true;
		(void)stream_shutdown(vc->stream);
	}
	if (is_over || vc->deadline_us <= vc->volume->now_us)
		part_end(vc);
}
