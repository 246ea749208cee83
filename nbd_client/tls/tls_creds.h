/*
 * tls_creds.h - what one side proves itself with, read from files once
 *
 * Control thread. A volume's credentials are loaded at attach and kept: a reconnect under memory
 * pressure opens no file.
 */
#ifndef NBD_CLIENT_TLS_TLS_CREDS_H
#define NBD_CLIENT_TLS_TLS_CREDS_H

#include "config/error.h"

struct tls_creds_files {
	const char *ca;	      /* PEM; NULL: what the system trusts */
	const char *cert;     /* PEM, of the client; NULL: none. With key, or neither */
	const char *key;      /* PEM */
	const char *psk;      /* "username:hexkey" lines, as psktool writes; excludes the others */
	const char *username; /* of psk; NULL: the file's only one */
};

struct tls_creds;

/*
 * Out: credentials that are the caller's until tls_creds_free(), or NULL with @err: which file is
 * missing, wrong, or open to others, and what mends it.
 */
struct tls_creds *tls_creds_load(const struct tls_creds_files *files, struct error *err);
void tls_creds_free(struct tls_creds *c); /* no handshake uses it any more; NULL is fine */

#endif
