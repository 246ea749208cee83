/*
 * tls_server.h - a TLS server by GnuTLS, in memory, and the certificates it needs
 *
 * The peer of the handshake's tests: an implementation that shares nothing with ours. What it
 * sends lies in out, what it is sent is put in in.
 */
#ifndef TESTS_UNIT_NBD_CLIENT_TLS_SERVER_H
#define TESTS_UNIT_NBD_CLIENT_TLS_SERVER_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_PIPE_BYTES (1u << 18)

struct tls_pipe {
	uint8_t bytes[TLS_PIPE_BYTES];
	size_t at, len; /* read so far, written */
};

struct tls_server {
	gnutls_session_t session;
	gnutls_certificate_credentials_t x509;
	gnutls_psk_server_credentials_t psk;
	struct tls_pipe in, out;
	bool is_done;
	int error; /* GnuTLS's code, 0 = none */
};

/* One certificate and its key, in files of a folder; the name of the files is the caller's. */
struct tls_cert_wish {
	const char *name;	   /* files: DIR/NAME.pem, DIR/NAME.key */
	const char *issuer;	   /* name of another; NULL: signs itself, and is an authority */
	const char *dns;	   /* NULL: none */
	const char *ip;		   /* "192.0.2.1"; NULL: none */
	long from_s, to_s;	   /* validity, seconds from now */
};
void tls_cert_make(const char *dir, const struct tls_cert_wish *wish);
/* Removes @dir with all that was made in it. Out: 0. */
int tls_dir_remove(const char *dir);

/* Either @dir/@cert.pem and .key, or user "swap" with the key 0xabab…; @priority as GnuTLS's. */
struct tls_server *tls_server_make(const char *dir, const char *cert, const char *priority);
/* Wants a client's certificate signed by @dir/@ca.pem. Before the handshake. */
void tls_server_demand(struct tls_server *s, const char *dir, const char *ca);
void tls_server_free(struct tls_server *s);

/* Goes on with the handshake as far as in allows. */
void tls_server_turn(struct tls_server *s);
/* Application data, one record. */
void tls_server_say(struct tls_server *s, const void *bytes, size_t len);
/* What the client said, exactly @len bytes; asserts that it is there. */
void tls_server_hear(struct tls_server *s, void *bytes, size_t len);

void tls_pipe_put(struct tls_pipe *p, const void *bytes, size_t len);

#endif
