/*
 * nbd_uri.c - nbd://[user@]host[:port]/export, taken apart
 *
 * The NBD URI specification on top of RFC 3986: the export's name is the path without its first
 * slash, percent-decoded, and may be empty or begin with a slash itself. Query parameters belong to
 * transports we refuse (socket, tls-*) or to nobody, and the specification has unknown ones
 * ignored.
 *
 * Refused by name, with the reason: nbd+unix and nbd+vsock have no packets a NIC could carry, nbds
 * needs TLS. Runs on the control thread, touches nothing but its arguments, and writes *out only
 * when the whole text is good.
 */
#include "nbd_client/nbd_uri.h"
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct piece {
	const char *at;
	size_t len;
};

static int hex_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch = (char)tolower((unsigned char)ch);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* Percent-decodes @in to a string of fewer than @room bytes. 0, or -EINVAL with @err. */
static int decode(struct piece in, char *out, size_t room, const char *what, struct error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int ch = (unsigned char)in.at[i];

		if (ch == '%') {
			bool is_whole = in.len - i > 2;
			int high = is_whole ? hex_digit(in.at[i + 1]) : -1;

			ch = is_whole ? hex_digit(in.at[i + 2]) : -1;
			if (high < 0 || ch < 0)
				return error_set(err, -EINVAL,
					"URI: '%%' in the %s is not followed by two hex digits",
					what);
			ch |= high << 4;
			i += 2;
		}
		if (ch == 0)
			return error_set(err, -EINVAL, "URI: %%00 in the %s", what);
		if (n + 1 == room)
			return error_set(err, -EINVAL, "URI: the %s is longer than %zu bytes", what,
				room - 1);
		out[n++] = (char)ch;
	}
	out[n] = '\0';
	return 0;
}

/* Everything up to the first of @stops; @rest moves behind it, onto the stop. */
static struct piece cut(const char **rest, const char *stops)
{
	struct piece p = {*rest, strcspn(*rest, stops)};

	*rest += p.len;
	return p;
}

static int scheme_parse(const char **rest, struct nbd_uri *u, struct error *err)
{
	struct piece scheme = cut(rest, ":");

	if (strncmp(*rest, "://", 3) != 0)
		return error_set(err, -EINVAL, "URI: no scheme: write nbd://HOST[:PORT]/EXPORT");
	*rest += 3;
	u->is_tls = false;
	if (scheme.len == 3 && strncasecmp(scheme.at, "nbd", 3) == 0)
		return 0;
	if (scheme.len > 3 && strncasecmp(scheme.at, "nbd+", 4) == 0)
		return error_set(err, -EINVAL,
			"URI: %.*s: there are no packets on that transport for a NIC to carry; "
			"let the server listen on TCP and use nbd://HOST[:PORT]/EXPORT",
			(int)scheme.len, scheme.at);
	if (scheme.len >= 4 && strncasecmp(scheme.at, "nbds", 4) == 0)
		return error_set(err, -EINVAL,
			"URI: %.*s: TLS is not supported; use nbd:// to a server that accepts "
			"plain connections",
			(int)scheme.len, scheme.at);
	return error_set(err, -EINVAL, "URI: scheme '%.*s' is not nbd", (int)scheme.len, scheme.at);
}

static int port_parse(struct piece text, uint16_t *port, struct error *err)
{
	unsigned long value = 0;

	if (text.len == 0) { /* "host:/": RFC 3986 3.2.3 allows it */
		*port = NBD_PORT_DEFAULT;
		return 0;
	}
	for (size_t i = 0; i < text.len && value <= 65535; i++) {
		if (!isdigit((unsigned char)text.at[i]))
			return error_set(err, -EINVAL, "URI: port '%.*s' is not a number",
				(int)text.len, text.at);
		value = value * 10 + (unsigned long)(text.at[i] - '0');
	}
	if (value == 0 || value > 65535)
		return error_set(
			err, -EINVAL, "URI: port '%.*s' is not 1 to 65535", (int)text.len, text.at);
	*port = (uint16_t)value;
	return 0;
}

/* Splits host and port; an IPv6 address stands in brackets. */
static int host_parse(struct piece auth, struct nbd_uri *u, struct error *err)
{
	const char *end = auth.at + auth.len, *host_end;
	struct piece host = {auth.at, 0};

	if (auth.len > 0 && *auth.at == '[') {
		host_end = memchr(auth.at, ']', auth.len);
		if (!host_end)
			return error_set(err, -EINVAL, "URI: '[' without ']' in the address");
		host.at++;
		host.len = (size_t)(host_end - host.at);
		host_end++;
	} else {
		host_end = memchr(auth.at, ':', auth.len);
		if (!host_end)
			host_end = end;
		host.len = (size_t)(host_end - auth.at);
		if (host_end < end && memchr(host_end + 1, ':', (size_t)(end - host_end - 1)))
			return error_set(err, -EINVAL,
				"URI: put an IPv6 address in brackets: nbd://[fd00::1]:%d/",
				NBD_PORT_DEFAULT);
	}
	if (host.len == 0)
		return error_set(err, -EINVAL,
			"URI: no host: name the server, there is no loopback on a NIC");
	if (host_end < end && *host_end != ':')
		return error_set(err, -EINVAL, "URI: only ':PORT' may follow the address");
	if (decode(host, u->host, sizeof(u->host), "host", err))
		return -EINVAL;
	u->port = NBD_PORT_DEFAULT;
	if (host_end == end)
		return 0;
	return port_parse(
		(struct piece){host_end + 1, (size_t)(end - host_end - 1)}, &u->port, err);
}

int nbd_uri_parse(const char *text, struct nbd_uri *out, struct error *err)
{
	struct nbd_uri *u = calloc(1, sizeof(*u));
	const char *rest = text, *at;
	struct piece auth;
	int rc;

	if (!u)
		return error_set(err, -ENOMEM, "URI: out of memory");
	rc = scheme_parse(&rest, u, err);
	if (rc)
		goto out;
	auth = cut(&rest, "/?#");
	at = memchr(auth.at, '@', auth.len);
	if (at) {
		struct piece user = {auth.at, (size_t)(at - auth.at)};

		rc = decode(user, u->user, sizeof(u->user), "user", err);
		if (rc)
			goto out;
		auth.len -= user.len + 1;
		auth.at = at + 1;
	}
	rc = host_parse(auth, u, err);
	if (rc)
		goto out;
	if (*rest == '/')
		rest++;
	rc = decode(cut(&rest, "?#"), u->export_name, sizeof(u->export_name), "export's name", err);
	if (rc == 0 && strchr(rest, '#'))
		rc = error_set(err, -EINVAL, "URI: '#': a fragment means nothing here; write %%23");
	if (rc == 0)
		*out = *u;
out:
	free(u);
	return rc;
}
