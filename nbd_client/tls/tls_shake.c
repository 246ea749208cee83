/*
 * tls_shake.c - a client's TLS handshake by GnuTLS, fed one record at a time
 *
 * The worker owns the stream, GnuTLS runs on the control thread. GnuTLS would read ahead of the
 * handshake's end if it could; a ticket or an NBD reply behind the server's last message would then
 * be lost to the worker. So it gets one whole record, works until it wants another, and never sees
 * the next before that. When it is done nothing is left of the last, which is checked.
 *
 * Which ciphers there are is what tls_record.h can do; TLS 1.3 before 1.2, forward secrecy always,
 * 1.2 with the extended master secret (RFC 7627) only, no tickets. The certificate is verified
 * inside the handshake, before the client says anything about itself.
 *
 * Keys come by gnutls_record_get_state(), 1.3's traffic secrets by the secret function. They are
 * copied once, at the end, and zeroed with the object.
 */
#include "nbd_client/tls/tls_shake.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "nbd_client/tls/tls_creds_priv.h"

#define VERSIONS "-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define CIPHERS	 "-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
#define X509	 "NORMAL:" VERSIONS ":" CIPHERS ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:+DHE-RSA"
#define PSK	 "NORMAL:" VERSIONS ":" CIPHERS ":-KX-ALL:+ECDHE-PSK:+DHE-PSK"

struct tls_shake {
	gnutls_session_t session;
	bool is_psk;
	enum tls_shake_state state;
	struct tls_keys keys;
	const uint8_t *in; /* the record being fed */
	uint32_t in_left;
	uint32_t out_bytes;
	char error[256];
	uint8_t out[TLS_SHAKE_OUT_BYTES_MAX];
};

/* ---- GnuTLS's ends ---- */

static ssize_t pull(gnutls_transport_ptr_t ptr, void *bytes, size_t len)
{
	struct tls_shake *s = ptr;
	size_t part = len < s->in_left ? len : s->in_left;

	if (part == 0) {
		gnutls_transport_set_errno(s->session, EAGAIN);
		return -1;
	}
	memcpy(bytes, s->in, part);
	s->in += part;
	s->in_left -= (uint32_t)part;
	return (ssize_t)part;
}

static int pull_wait(gnutls_transport_ptr_t ptr, unsigned ms)
{
	const struct tls_shake *s = ptr;

	return s->in_left > 0; /* never waits */
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *bytes, size_t len)
{
	struct tls_shake *s = ptr;

	if (len > sizeof(s->out) - s->out_bytes) {
		gnutls_transport_set_errno(s->session, EMSGSIZE);
		return -1;
	}
	memcpy(s->out + s->out_bytes, bytes, len);
	s->out_bytes += (uint32_t)len;
	return (ssize_t)len;
}

static int secret(gnutls_session_t session, gnutls_record_encryption_level_t level,
	const void *read, const void *write, size_t len)
{
	struct tls_shake *s = gnutls_session_get_ptr(session);

	if (level != GNUTLS_ENCRYPTION_LEVEL_APPLICATION)
		return 0;
	if (len > TLS_SECRET_BYTES_MAX)
		return -1;
	s->keys.secret_bytes = (uint32_t)len;
	if (read)
		memcpy(s->keys.rx.secret, read, len);
	if (write)
		memcpy(s->keys.tx.secret, write, len);
	return 0;
}

/* ---- begin and end ---- */

static bool is_address(const char *host)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

/* Credentials, algorithms and names. Out: GnuTLS's code. */
static int session_set(struct tls_shake *s, const struct tls_creds *creds, const char *host)
{
	gnutls_session_t t = s->session;
	int rc = gnutls_priority_set_direct(t, s->is_psk ? PSK : X509, NULL);

	gnutls_session_set_ptr(t, s);
	gnutls_transport_set_ptr(t, s);
	gnutls_transport_set_pull_function(t, pull);
	gnutls_transport_set_pull_timeout_function(t, pull_wait);
	gnutls_transport_set_push_function(t, push);
	gnutls_handshake_set_secret_function(t, secret);
	if (rc < 0)
		return rc;
	if (s->is_psk)
		return gnutls_credentials_set(t, GNUTLS_CRD_PSK, creds->psk);
	gnutls_session_set_verify_cert(t, host, 0);
	rc = gnutls_credentials_set(t, GNUTLS_CRD_CERTIFICATE, creds->x509);
	if (rc == 0 && !is_address(host))
		rc = gnutls_server_name_set(t, GNUTLS_NAME_DNS, host, strlen(host));
	return rc;
}

static void step(struct tls_shake *s);

struct tls_shake *tls_shake_begin(const struct tls_creds *creds, const char *host)
{
	struct tls_shake *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->is_psk = creds->psk != NULL;
	if (gnutls_init(&s->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS) < 0) {
		free(s);
		return NULL;
	}
	if (session_set(s, creds, host) < 0) {
		tls_shake_end(s);
		return NULL;
	}
	step(s);
	return s;
}

void tls_shake_end(struct tls_shake *s)
{
	if (!s)
		return;
	gnutls_deinit(s->session);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

/* ---- what went wrong ---- */

static void certificate_explain(struct tls_shake *s)
{
	unsigned status = gnutls_session_get_verify_cert_status(s->session);
	const char *why;

	if (status & GNUTLS_CERT_EXPIRED)
		why = "has expired: renew it";
	else if (status & GNUTLS_CERT_NOT_ACTIVATED)
		why = "is not valid yet: check both clocks";
	else if (status & GNUTLS_CERT_REVOKED)
		why = "was revoked: renew it";
	else if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
		why = "is not signed by an authority of tls_ca: name the one that signed it";
	else if (status & GNUTLS_CERT_UNEXPECTED_OWNER)
		why = "is for another name: name it in the URI, or with tls_hostname";
	else
		why = "is not trusted: its chain does not verify";
	snprintf(s->error, sizeof(s->error), "the server's certificate %s", why);
}

static void alert_explain(struct tls_shake *s)
{
	gnutls_alert_description_t alert = gnutls_alert_get(s->session);
	const char *name = gnutls_alert_get_name(alert);

	if (s->is_psk)
		snprintf(s->error, sizeof(s->error),
			"the server does not accept the pre-shared key (%s): check user and key of "
			"tls_psk on both sides",
			name ? name : "unknown alert");
	else if (alert == GNUTLS_A_CERTIFICATE_REQUIRED)
		snprintf(s->error, sizeof(s->error),
			"the server requires a client's certificate: name one with tls_cert and "
			"tls_key");
	else
		snprintf(s->error, sizeof(s->error),
			"the server refused the TLS handshake (%s): see the server's log",
			name ? name : "unknown alert");
}

static void fail(struct tls_shake *s, int rc)
{
	s->state = TLS_SHAKE_FAILED;
	if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		certificate_explain(s);
	else if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		alert_explain(s);
	else if (rc == GNUTLS_E_INSUFFICIENT_CREDENTIALS && s->is_psk)
		snprintf(s->error, sizeof(s->error),
			"the server has certificates and no pre-shared key: use tls_ca in the "
			"place of tls_psk, or serve with a key");
	else if (s->error[0] == '\0')
		snprintf(s->error, sizeof(s->error), "the TLS handshake failed: %s",
			gnutls_strerror(rc));
	(void)gnutls_alert_send_appropriate(s->session, rc);
}

/* ---- keys ---- */

static int half_take(struct tls_shake *s, bool is_read, struct tls_keys_half *half)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];
	int rc = gnutls_record_get_state(s->session, is_read, &mac, &iv, &key, seq);

	if (rc < 0)
		return rc;
	if (key.size != tls_cipher_key_bytes(s->keys.aead) || iv.size > sizeof(half->iv))
		return GNUTLS_E_INTERNAL_ERROR;
	memcpy(half->key, key.data, key.size);
	memcpy(half->iv, iv.data, iv.size);
	half->seq = 0;
	for (unsigned i = 0; i < sizeof(seq); i++)
		half->seq = half->seq << 8 | seq[i];
	return 0;
}

/* Out: 0 or GnuTLS's code. */
static int keys_take(struct tls_shake *s)
{
	gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(s->session);
	bool is_13 = gnutls_protocol_get_version(s->session) == GNUTLS_TLS1_3;
	int rc;

	if (!is_13 && !gnutls_session_ext_master_secret_status(s->session)) {
		snprintf(s->error, sizeof(s->error),
			"the server has TLS 1.2 without the extended master secret: update it");
		return GNUTLS_E_INSUFFICIENT_SECURITY;
	}
	if (s->in_left > 0 || gnutls_record_check_pending(s->session) > 0)
		return GNUTLS_E_UNEXPECTED_PACKET;
	s->keys.version = is_13 ? TLS_VERSION_1_3 : TLS_VERSION_1_2;
	s->keys.aead = cipher == GNUTLS_CIPHER_AES_128_GCM   ? TLS_AES_128_GCM
		       : cipher == GNUTLS_CIPHER_AES_256_GCM ? TLS_AES_256_GCM
							     : TLS_CHACHA20_POLY1305;
	rc = half_take(s, true, &s->keys.rx);
	return rc < 0 ? rc : half_take(s, false, &s->keys.tx);
}

/* GnuTLS works on what it has. */
static void step(struct tls_shake *s)
{
	int rc;

	do /* each warning takes a record, so this ends */
		rc = gnutls_handshake(s->session);
	while (rc < 0 && rc != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(rc) && s->in_left > 0);
	if (rc == GNUTLS_E_AGAIN || (rc < 0 && !gnutls_error_is_fatal(rc)))
		return;
	if (rc == 0)
		rc = keys_take(s);
	if (rc == 0)
		s->state = TLS_SHAKE_DONE;
	else
		fail(s, rc);
}

uint32_t tls_shake_record_bytes(const uint8_t *bytes, size_t have)
{
	uint32_t len;

	if (have > 0 && (bytes[0] < TLS_CCS || bytes[0] > TLS_DATA))
		return 0;
	if (have > 1 && bytes[1] != 3)
		return 0;
	if (have < TLS_HEADER_BYTES)
		return TLS_HEADER_BYTES;
	len = TLS_HEADER_BYTES + ((uint32_t)bytes[3] << 8 | bytes[4]);
	return len <= TLS_SHAKE_RECORD_BYTES_MAX ? len : 0;
}

enum tls_shake_state tls_shake_feed(struct tls_shake *s, const uint8_t *record, uint32_t len)
{
	assert(s->state == TLS_SHAKE_WANTS && s->in_left == 0);
	s->in = record;
	s->in_left = len;
	step(s);
	if (s->state == TLS_SHAKE_WANTS && s->in_left > 0)
		fail(s, GNUTLS_E_UNEXPECTED_PACKET);
	s->in = NULL;
	s->in_left = 0;
	return s->state;
}

enum tls_shake_state tls_shake_state(const struct tls_shake *s)
{
	return s->state;
}

const uint8_t *tls_shake_out(const struct tls_shake *s, size_t *len)
{
	*len = s->out_bytes;
	return s->out;
}

void tls_shake_out_clear(struct tls_shake *s)
{
	s->out_bytes = 0;
}

void tls_shake_keys(const struct tls_shake *s, struct tls_keys *out)
{
	assert(s->state == TLS_SHAKE_DONE);
	*out = s->keys;
}

const char *tls_shake_error(const struct tls_shake *s)
{
	assert(s->state == TLS_SHAKE_FAILED);
	return s->error;
}
