/*
 * tls_creds_priv.h - inside the credentials: for tls_shake.c
 */
#ifndef NBD_CLIENT_TLS_TLS_CREDS_PRIV_H
#define NBD_CLIENT_TLS_TLS_CREDS_PRIV_H

#include <gnutls/gnutls.h>
#include "nbd_client/tls/tls_creds.h"

/* One of the two is set. */
struct tls_creds {
	gnutls_certificate_credentials_t x509;
	gnutls_psk_client_credentials_t psk;
};

#endif
