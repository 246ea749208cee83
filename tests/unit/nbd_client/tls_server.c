/*
 * tls_server.c - see tls_server.h
 */
#include "tests/unit/nbd_client/tls_server.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PSK_USER  "swap"
#define PSK_BYTES 32

/* ---- certificates ---- */

static void file_put(const char *dir, const char *name, const char *ext, gnutls_datum_t data)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", dir, name, ext);
	file = fopen(path, "w");
	assert(file && fwrite(data.data, 1, data.size, file) == data.size);
	fclose(file);
	assert(chmod(path, strcmp(ext, "key") == 0 ? 0600 : 0644) == 0);
	gnutls_free(data.data);
}

static gnutls_datum_t file_get(const char *dir, const char *name, const char *ext)
{
	gnutls_datum_t data = {NULL, 0};
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.%s", dir, name, ext);
	assert(gnutls_load_file(path, &data) == 0);
	return data;
}

static void names_set(gnutls_x509_crt_t crt, const struct tls_cert_wish *w)
{
	uint8_t ip[4];

	if (w->dns)
		assert(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, w->dns,
			       (unsigned)strlen(w->dns), GNUTLS_FSAN_SET) == 0);
	if (w->ip) {
		assert(inet_pton(AF_INET, w->ip, ip) == 1);
		assert(gnutls_x509_crt_set_subject_alt_name(
			       crt, GNUTLS_SAN_IPADDRESS, ip, sizeof(ip), GNUTLS_FSAN_APPEND) == 0);
	}
}

static void sign(gnutls_x509_crt_t crt, gnutls_x509_privkey_t own, const char *dir,
	const struct tls_cert_wish *w)
{
	gnutls_datum_t cert_pem, key_pem;
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t issuer;

	if (!w->issuer) {
		assert(gnutls_x509_crt_sign2(crt, crt, own, GNUTLS_DIG_SHA256, 0) == 0);
		return;
	}
	cert_pem = file_get(dir, w->issuer, "pem");
	key_pem = file_get(dir, w->issuer, "key");
	gnutls_x509_crt_init(&issuer);
	gnutls_x509_privkey_init(&key);
	assert(gnutls_x509_crt_import(issuer, &cert_pem, GNUTLS_X509_FMT_PEM) == 0);
	assert(gnutls_x509_privkey_import(key, &key_pem, GNUTLS_X509_FMT_PEM) == 0);
	assert(gnutls_x509_crt_sign2(crt, issuer, key, GNUTLS_DIG_SHA256, 0) == 0);
	gnutls_x509_crt_deinit(issuer);
	gnutls_x509_privkey_deinit(key);
	gnutls_free(cert_pem.data);
	gnutls_free(key_pem.data);
}

void tls_cert_make(const char *dir, const struct tls_cert_wish *w)
{
	static uint8_t serial;
	unsigned bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
	gnutls_datum_t out = {NULL, 0};
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	time_t now = time(NULL);

	serial++;
	gnutls_x509_privkey_init(&key);
	gnutls_x509_crt_init(&crt);
	assert(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, bits, 0) == 0);
	assert(gnutls_x509_crt_set_version(crt, 3) == 0);
	assert(gnutls_x509_crt_set_serial(crt, &serial, 1) == 0);
	assert(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, w->name,
		       (unsigned)strlen(w->name)) == 0);
	gnutls_x509_crt_set_activation_time(crt, now + w->from_s);
	gnutls_x509_crt_set_expiration_time(crt, now + w->to_s);
	assert(gnutls_x509_crt_set_basic_constraints(crt, !w->issuer, -1) == 0);
	names_set(crt, w);
	assert(gnutls_x509_crt_set_key(crt, key) == 0);
	sign(crt, key, dir, w);
	assert(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out) == 0);
	file_put(dir, w->name, "pem", out);
	assert(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &out) == 0);
	file_put(dir, w->name, "key", out);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

/* ---- the server ---- */

void tls_pipe_put(struct tls_pipe *p, const void *bytes, size_t len)
{
	if (p->at == p->len)
		p->at = p->len = 0;
	assert(len <= sizeof(p->bytes) - p->len);
	memcpy(p->bytes + p->len, bytes, len);
	p->len += len;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *bytes, size_t len)
{
	struct tls_server *s = ptr;
	size_t part = s->in.len - s->in.at;

	part = part < len ? part : len;
	if (part == 0) {
		gnutls_transport_set_errno(s->session, EAGAIN);
		return -1;
	}
	memcpy(bytes, s->in.bytes + s->in.at, part);
	s->in.at += part;
	return (ssize_t)part;
}

static int pull_wait(gnutls_transport_ptr_t ptr, unsigned ms)
{
	const struct tls_server *s = ptr;

	return s->in.len > s->in.at;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *bytes, size_t len)
{
	struct tls_server *s = ptr;

	tls_pipe_put(&s->out, bytes, len);
	return (ssize_t)len;
}

static int psk_of(gnutls_session_t session, const char *user, gnutls_datum_t *key)
{
	if (strcmp(user, PSK_USER) != 0)
		return -1;
	key->data = gnutls_malloc(PSK_BYTES);
	assert(key->data);
	key->size = PSK_BYTES;
	memset(key->data, 0xab, PSK_BYTES);
	return 0;
}

static void credentials_set(struct tls_server *s, const char *dir, const char *cert)
{
	gnutls_datum_t pem, key;

	if (!cert) {
		assert(gnutls_psk_allocate_server_credentials(&s->psk) == 0);
		gnutls_psk_set_server_credentials_function(s->psk, psk_of);
		assert(gnutls_psk_set_server_known_dh_params(
			       s->psk, GNUTLS_SEC_PARAM_MEDIUM) == 0);
		assert(gnutls_credentials_set(s->session, GNUTLS_CRD_PSK, s->psk) == 0);
		return;
	}
	pem = file_get(dir, cert, "pem");
	key = file_get(dir, cert, "key");
	assert(gnutls_certificate_allocate_credentials(&s->x509) == 0);
	assert(gnutls_certificate_set_x509_key_mem(s->x509, &pem, &key, GNUTLS_X509_FMT_PEM) >= 0);
	assert(gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->x509) == 0);
	gnutls_free(pem.data);
	gnutls_free(key.data);
}

struct tls_server *tls_server_make(const char *dir, const char *cert, const char *priority)
{
	struct tls_server *s = calloc(1, sizeof(*s));

	assert(s && gnutls_init(&s->session, GNUTLS_SERVER | GNUTLS_NONBLOCK) == 0);
	assert(gnutls_priority_set_direct(s->session, priority, NULL) == 0);
	credentials_set(s, dir, cert);
	gnutls_transport_set_ptr(s->session, s);
	gnutls_transport_set_pull_function(s->session, pull);
	gnutls_transport_set_pull_timeout_function(s->session, pull_wait);
	gnutls_transport_set_push_function(s->session, push);
	return s;
}

void tls_server_demand(struct tls_server *s, const char *dir, const char *ca)
{
	gnutls_datum_t pem = file_get(dir, ca, "pem");

	assert(gnutls_certificate_set_x509_trust_mem(s->x509, &pem, GNUTLS_X509_FMT_PEM) == 1);
	gnutls_certificate_server_set_request(s->session, GNUTLS_CERT_REQUIRE);
	gnutls_session_set_verify_cert(s->session, NULL, 0);
	gnutls_free(pem.data);
}

void tls_server_free(struct tls_server *s)
{
	gnutls_deinit(s->session);
	if (s->x509)
		gnutls_certificate_free_credentials(s->x509);
	if (s->psk)
		gnutls_psk_free_server_credentials(s->psk);
	free(s);
}

void tls_server_turn(struct tls_server *s)
{
	int rc;

	if (s->is_done || s->error)
		return;
	rc = gnutls_handshake(s->session);
	if (rc == 0)
		s->is_done = true;
	if (rc == 0 || !gnutls_error_is_fatal(rc))
		return;
	s->error = rc;
	(void)gnutls_alert_send_appropriate(s->session, rc);
}

void tls_server_say(struct tls_server *s, const void *bytes, size_t len)
{
	assert(gnutls_record_send(s->session, bytes, len) == (ssize_t)len);
}

void tls_server_hear(struct tls_server *s, void *bytes, size_t len)
{
	size_t got = 0;

	while (got < len) {
		size_t at = s->in.at;
		ssize_t n = gnutls_record_recv(s->session, (uint8_t *)bytes + got, len - got);

		if (n == GNUTLS_E_AGAIN && s->in.at > at)
			continue; /* a KeyUpdate was read */
		if (n <= 0)
			fprintf(stderr, "server: %s\n", gnutls_strerror((int)n));
		assert(n > 0);
		got += (size_t)n;
	}
}

int tls_dir_remove(const char *dir)
{
	char command[600];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}
