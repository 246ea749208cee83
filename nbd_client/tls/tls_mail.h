/*
 * tls_mail.h - a handshake between a worker, which has the stream, and the control thread
 *
 * One letter at a time, and it is always one side's turn: the worker posts what it wants, the
 * control thread works and answers. Neither waits for the other. All memory is in the mail itself.
 */
#ifndef NBD_CLIENT_TLS_TLS_MAIL_H
#define NBD_CLIENT_TLS_TLS_MAIL_H

#include "nbd_client/tls/tls_shake.h"

enum tls_mail_ask {
	TLS_MAIL_BEGIN, /* a new handshake, for host; one under way is forgotten */
	TLS_MAIL_FEED,	/* in holds the next whole record */
};

struct tls_mail {
	uint32_t turn;	/* whose; tls_mail.c only */
	/* the worker's letter */
	enum tls_mail_ask ask;
	char host[256];
	uint32_t in_bytes;
	uint8_t in[TLS_SHAKE_RECORD_BYTES_MAX];
	/* the answer */
	enum tls_shake_state state;
	char error[256];      /* FAILED */
	struct tls_keys keys; /* DONE; the worker zeroes them */
	uint32_t out_bytes;
	uint8_t out[TLS_SHAKE_OUT_BYTES_MAX]; /* to be sent, in any state */
	struct tls_shake *shake; /* the control thread's own; NULL: none under way */
};

/* A zeroed mail is the worker's turn. */

/* Worker: may it read and write the mail? Where not, the control thread is at work. */
bool tls_mail_is_mine(const struct tls_mail *m);
/* Worker, in its turn: posts what it has written. */
void tls_mail_post(struct tls_mail *m);

/* Control thread: answers what was posted. True: something was. */
bool tls_mail_serve(struct tls_mail *m, const struct tls_creds *creds);
/* Control thread, when no worker has the mail any more. */
void tls_mail_end(struct tls_mail *m);

#endif
