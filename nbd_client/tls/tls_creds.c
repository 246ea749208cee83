/*
 * tls_creds.c - CA, certificate, key and pre-shared key, read from files
 *
 * The formats are those of nbdkit, qemu-nbd and nbd-server, by the same library: PEM files, and
 * psktool's "username:hexkey" lines. A file with a secret that others may read is refused, for the
 * secret must be taken for known; the sentence has the command that mends the mode. The owner must
 * be root or the daemon's user.
 *
 * A file is opened once and its mode is that of what was opened. Copies in memory are zeroed.
 */
#include "nbd_client/tls/tls_creds_priv.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1u << 20)

struct text {
	uint8_t *bytes; /* with a zero behind it */
	size_t len;
};

static void text_free(struct text *t)
{
	if (t->bytes)
		explicit_bzero(t->bytes, t->len);
	free(t->bytes);
	*t = (struct text){0};
}

static int mode_check(const char *path, const struct stat *st, struct error *err)
{
	if (st->st_mode & 077)
		return error_set(err, -EPERM,
			"%s: others may read this secret: chmod 600 %s, and make a new one if they "
			"did",
			path, path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return error_set(err, -EPERM,
			"%s: belongs to another user, who may change it: chown root %s", path,
			path);
	return 0;
}

/* Reads what @fd holds. 0 or -errno. */
static int text_read(int fd, size_t bytes, struct text *out)
{
	out->bytes = calloc(1, bytes + 1);
	if (!out->bytes)
		return -ENOMEM;
	while (out->len < bytes) {
		ssize_t n = read(fd, out->bytes + out->len, bytes - out->len);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		out->len += (size_t)n;
	}
	return 0;
}

/* The whole file. 0, or -errno with @err; the caller frees @out either way. */
static int text_load(const char *path, bool is_secret, struct text *out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), rc = 0;
	struct stat st;

	if (fd < 0)
		return error_set(err, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0)
		rc = error_set(err, -errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || (size_t)st.st_size > FILE_BYTES_MAX)
		rc = error_set(err, -EINVAL, "%s: is no regular file of at most %u bytes", path,
			FILE_BYTES_MAX);
	else if (is_secret)
		rc = mode_check(path, &st, err);
	if (rc == 0) {
		rc = text_read(fd, (size_t)st.st_size, out);
		if (rc < 0)
			error_set(err, rc, "%s: %s", path, strerror(-rc));
	}
	close(fd);
	return rc;
}

/* ---- pre-shared key ---- */

/* The line of @username, or the only line there is. *name and *hex lie in the text, cut by zeroes.
 */
static int psk_find(struct text *t, const char *path, const char *username, char **name,
	char **hex, struct error *err)
{
	char *line, *next = (char *)t->bytes;
	unsigned lines = 0;

	*name = NULL;
	while ((line = strsep(&next, "\n"))) {
		char *colon = strrchr(line, ':'), *end = line + strlen(line);

		while (end > line && isspace((unsigned char)end[-1]))
			*--end = '\0';
		if (*line == '\0' || *line == '#' || !colon || colon == line)
			continue;
		lines++;
		*colon = '\0';
		if (username && strcmp(line, username) != 0)
			continue;
		*name = line;
		*hex = colon + 1;
	}
	if (!username && lines > 1)
		return error_set(err, -EINVAL,
			"%s: has keys of %u users: say which with tls_username", path, lines);
	if (!*name && username)
		return error_set(err, -ENOENT, "%s: has no key of user '%s'", path, username);
	if (!*name)
		return error_set(err, -EINVAL,
			"%s: has no line username:hexkey; psktool -u NAME -p %s makes one", path,
			path);
	return 0;
}

static int psk_load(struct tls_creds *c, const struct tls_creds_files *files, struct error *err)
{
	struct text t = {0};
	char *name = NULL, *hex = NULL;
	gnutls_datum_t key;
	int rc = text_load(files->psk, true, &t, err);

	if (rc == 0)
		rc = psk_find(&t, files->psk, files->username, &name, &hex, err);
	if (rc < 0)
		goto out;
	key = (gnutls_datum_t){(unsigned char *)hex, (unsigned)strlen(hex)};
	rc = gnutls_psk_allocate_client_credentials(&c->psk);
	if (rc == 0)
		rc = gnutls_psk_set_client_credentials(c->psk, name, &key, GNUTLS_PSK_KEY_HEX);
	if (rc < 0)
		rc = error_set(err, -EINVAL,
			"%s: the key of user '%s' is not four bytes or more in hexadecimal: "
			"psktool -u %s -p %s makes one",
			files->psk, name, name, files->psk);
out:
	text_free(&t);
	return rc;
}

/* ---- certificates ---- */

static int ca_load(struct tls_creds *c, const char *path, struct error *err)
{
	struct text t = {0};
	gnutls_datum_t pem;
	int rc;

	if (!path) {
		rc = gnutls_certificate_set_x509_system_trust(c->x509);
		if (rc > 0)
			return 0;
		return error_set(err, -ENOENT,
			"this system trusts no authority (ca-certificates): name one with tls_ca");
	}
	rc = text_load(path, false, &t, err);
	if (rc == 0) {
		pem = (gnutls_datum_t){t.bytes, (unsigned)t.len};
		rc = gnutls_certificate_set_x509_trust_mem(c->x509, &pem, GNUTLS_X509_FMT_PEM);
		rc = rc > 0 ? 0
			    : error_set(err, -EINVAL, "%s: holds no certificate in PEM form", path);
	}
	text_free(&t);
	return rc;
}

static int own_load(struct tls_creds *c, const struct tls_creds_files *files, struct error *err)
{
	struct text cert = {0}, key = {0};
	gnutls_datum_t cert_pem, key_pem;
	int rc;

	if (!files->cert && !files->key)
		return 0;
	if (!files->cert || !files->key)
		return error_set(err, -EINVAL,
			"tls_cert and tls_key belong together: name both or neither");
	rc = text_load(files->cert, false, &cert, err);
	if (rc == 0)
		rc = text_load(files->key, true, &key, err);
	if (rc < 0)
		goto out;
	cert_pem = (gnutls_datum_t){cert.bytes, (unsigned)cert.len};
	key_pem = (gnutls_datum_t){key.bytes, (unsigned)key.len};
	rc = gnutls_certificate_set_x509_key_mem(
		c->x509, &cert_pem, &key_pem, GNUTLS_X509_FMT_PEM);
	if (rc < 0)
		rc = error_set(err, -EINVAL, "%s and %s: not a certificate and its key: %s",
			files->cert, files->key, gnutls_strerror(rc));
	else
		rc = 0;
out:
	text_free(&cert);
	text_free(&key);
	return rc;
}

static int x509_load(struct tls_creds *c, const struct tls_creds_files *files, struct error *err)
{
	int rc;

	if (files->username)
		return error_set(err, -EINVAL, "tls_username needs tls_psk");
	rc = gnutls_certificate_allocate_credentials(&c->x509);
	if (rc < 0)
		return error_set(err, -ENOMEM, "%s", gnutls_strerror(rc));
	rc = ca_load(c, files->ca, err);
	return rc < 0 ? rc : own_load(c, files, err);
}

struct tls_creds *tls_creds_load(const struct tls_creds_files *files, struct error *err)
{
	struct tls_creds *c = calloc(1, sizeof(*c));
	int rc;

	if (!c) {
		error_set(err, -ENOMEM, "no memory for TLS credentials");
		return NULL;
	}
	if (files->psk && (files->ca || files->cert || files->key))
		rc = error_set(err, -EINVAL,
			"tls_psk excludes tls_ca, tls_cert and tls_key: use the one or the other");
	else
		rc = files->psk ? psk_load(c, files, err) : x509_load(c, files, err);
	if (rc == 0)
		return c;
	tls_creds_free(c);
	return NULL;
}

void tls_creds_free(struct tls_creds *c)
{
	if (!c)
		return;
	if (c->x509)
		gnutls_certificate_free_credentials(c->x509);
	if (c->psk)
		gnutls_psk_free_client_credentials(c->psk);
	free(c);
}
