/*
 * tls_world.h - a world whose server speaks TLS, by GnuTLS, with a pre-shared key or a certificate
 */
#ifndef TESTS_UNIT_NBD_CLIENT_TLS_WORLD_H
#define TESTS_UNIT_NBD_CLIENT_TLS_WORLD_H

#include "tests/unit/nbd_client/tls_server.h"
#include "tests/unit/nbd_client/world.h"

struct tls_world {
	struct world *w;
	struct volume_tls_config cfg;
	struct stream_buf bufs[VOLUME_CONN_MAX * TLS_TX_BUFS];
	struct stream_buf *list[VOLUME_CONN_MAX * TLS_TX_BUFS];
	const char *cert, *priority; /* of the server; cert NULL: the pre-shared key */
	unsigned update_each;	     /* the server changes its key every so many of its turns */
	unsigned turns, updates;
	bool is_content; /* a client whose handshake fails is no news */
};

/* Makes the folder with certificates and keys that all worlds share, and removes it. */
int tls_world_group_make(void **state);
int tls_world_group_end(void **state);

/* Not started. @cert: "server", "expired", "other", or NULL: PSK. @psk: "good.psk", "wrong.psk". */
struct tls_world *tls_world_create(const char *cert, const char *psk, const char *priority);
void tls_world_destroy(struct tls_world *t);

#endif
