/*
 * tls_pair.h - two record machines with each other's keys, and records as a peer may make them
 */
#ifndef TESTS_UNIT_NBD_CLIENT_TLS_PAIR_H
#define TESTS_UNIT_NBD_CLIENT_TLS_PAIR_H

#include "nbd_client/tls/tls_record_priv.h"

#define TLS_KINDS 6 /* three AEADs in two versions */

struct tls_pair {
	struct tls_records *client, *server;
};

/* Machines of kind @kind, < TLS_KINDS; asserts that they can be made. */
void tls_pair_make(struct tls_pair *p, unsigned kind);
void tls_pair_free(struct tls_pair *p);
/* The keys tls_pair_make() gives the client; the server's are the same with the sides swapped. */
void tls_pair_keys(struct tls_keys *keys, unsigned kind);

/*
 * A record of @r's sending side, made without tls_seal(): any @type, @padding zeroes behind it
 * (1.3). Out: its bytes at @out.
 */
uint32_t tls_craft(struct tls_records *r, uint8_t type, const uint8_t *text, uint32_t len,
	uint32_t padding, uint8_t *out);

/*
 * Opens what is at @bytes in pieces of @piece bytes. TEXT: the text is gathered at @text, *text_len
 * bytes. *taken: as tls_open()'s bytes.
 */
enum tls_verdict tls_open_flat(struct tls_records *r, uint8_t *bytes, uint32_t len, uint32_t piece,
	uint8_t *text, uint32_t *text_len, uint32_t *taken);

#endif
