/*
 * nbd_uri.c - nbd://[user@]host[:port]/export[?name=value&…], taken apart
 *
 * The NBD URI specification on top of RFC 3986: the export's name is the path without its first
 * slash, percent-decoded, and may be empty or begin with a slash itself; letters of the scheme are
 * the same in either case; a port may be empty. A fragment has no meaning and a '#' in a name is
 * written %23, so one is refused.
 *
 * What asks for security or for another transport is refused, never ignored: nbds, tls-type and its
 * like, user:password; nbd+unix, nbd+vsock, socket. Of other query parameters the specification
 * has clients tell: the first that means nothing here is named in @ignored.
 *
 * Everything that takes a URI goes through here: what one place refuses, no other lets pass.
 * Touches nothing but its arguments, and writes *out only when the whole text is good.
 */
#include "config/nbd_uri.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NO_TLS "TLS is not supported; "

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
					"'%%' in the %s is not followed by two hex digits; write "
					"%%25 for the sign itself",
					what);
			ch |= high << 4;
			i += 2;
		}
		if (ch == 0)
			return error_set(err, -EINVAL,
				"%%00 in the %s: a name cannot contain a "
				"zero byte",
				what);
		if (n + 1 == room)
			return error_set(
				err, -EINVAL, "the %s is longer than %zu bytes", what, room - 1);
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

static bool begins(struct piece p, const char *word)
{
	size_t len = strlen(word);

	return p.len >= len && strncasecmp(p.at, word, len) == 0;
}

static bool is_word(struct piece p, const char *word)
{
	return p.len == strlen(word) && begins(p, word);
}

static int scheme_parse(const char **rest, struct error *err)
{
	const char *text = *rest;
	struct piece scheme = cut(rest, ":/?#");

	if (strncmp(*rest, "://", 3) == 0 && is_word(scheme, "nbd")) {
		*rest += 3;
		return 0;
	}
	if (is_word(scheme, "nbd+unix") || is_word(scheme, "nbds+unix"))
		return error_set(err, -EINVAL,
			"a Unix socket has no packets to protect; serve the export over TCP and "
			"write nbd://HOST/EXPORT");
	if (begins(scheme, "nbd+") || begins(scheme, "nbds+"))
		return error_set(err, -EINVAL,
			"%.*s: that transport has no packets a NIC could carry; serve the export "
			"over TCP and write nbd://HOST/EXPORT",
			(int)(scheme.len < 32 ? scheme.len : 32), scheme.at);
	if (is_word(scheme, "nbds"))
		return error_set(err, -EINVAL,
			"nbds: " NO_TLS "write nbd:// for a server that takes plain connections");
	return error_set(
		err, -EINVAL, "\"%.60s\" is not an NBD URI; write nbd://HOST[:PORT]/EXPORT", text);
}

static int port_parse(struct piece text, uint16_t *port, struct error *err)
{
	unsigned long value = 0;

	if (text.len == 0) { /* "host:/": RFC 3986 3.2.3 allows it */
		*port = NBD_PORT_DEFAULT;
		return 0;
	}
	for (size_t i = 0; i < text.len && value <= 65535; i++)
		value = isdigit((unsigned char)text.at[i])
				? value * 10 + (unsigned long)(text.at[i] - '0')
				: 65536;
	if (value == 0 || value > 65535)
		return error_set(err, -EINVAL,
			"the port after ':' is not a number from 1 to "
			"65535");
	*port = (uint16_t)value;
	return 0;
}

/* "[fd00::1]" and what follows it: the address goes to u->host, *rest is what follows. */
static int host6_parse(struct piece auth, struct nbd_uri *u, struct piece *rest, struct error *err)
{
	const char *close = memchr(auth.at, ']', auth.len), *end = auth.at + auth.len;
	struct in6_addr addr;

	if (!close || (close + 1 < end && close[1] != ':'))
		return error_set(err, -EINVAL, "the host's [ has no ]; write [fd00::1]");
	if (decode((struct piece){auth.at + 1, (size_t)(close - auth.at) - 1}, u->host,
		    sizeof(u->host), "host", err))
		return -EINVAL;
	if (inet_pton(AF_INET6, u->host, &addr) != 1)
		return error_set(err, -EINVAL,
			"\"%.60s\" in [] is not an IPv6 address; write [fd00::1], and a name "
			"without "
			"[]",
			u->host);
	*rest = (struct piece){close + 1, (size_t)(end - close) - 1};
	return 0;
}

/* Splits host and port; an IPv6 address stands in brackets. */
static int host_parse(struct piece auth, struct nbd_uri *u, struct error *err)
{
	const char *colon = memchr(auth.at, ':', auth.len), *end = auth.at + auth.len;
	struct piece rest = {colon ? colon : end, (size_t)(end - (colon ? colon : end))};
	int rc;

	if (auth.len == 0 || colon == auth.at || strncmp(auth.at, "[]", 2) == 0)
		return error_set(err, -EINVAL, "the URI has no host; write nbd://HOST/EXPORT");
	if (*auth.at == '[')
		rc = host6_parse(auth, u, &rest, err);
	else if (colon && memchr(colon + 1, ':', (size_t)(end - colon) - 1))
		rc = error_set(err, -EINVAL, "an IPv6 address needs brackets; write [fd00::1]");
	else
		rc = decode((struct piece){auth.at, (size_t)(rest.at - auth.at)}, u->host,
			sizeof(u->host), "host", err);
	u->port = NBD_PORT_DEFAULT;
	if (rc || rest.len == 0)
		return rc;
	return port_parse((struct piece){rest.at + 1, rest.len - 1}, &u->port, err);
}

static int user_parse(struct piece *auth, struct nbd_uri *u, struct error *err)
{
	const char *at = memchr(auth->at, '@', auth->len);
	struct piece user = {auth->at, at ? (size_t)(at - auth->at) : 0};

	if (!at)
		return 0;
	*auth = (struct piece){at + 1, auth->len - user.len - 1};
	if (memchr(user.at, ':', user.len))
		return error_set(err, -EINVAL,
			"the URI has a password, which only TLS could use; " NO_TLS "leave it out");
	if (user.len > 0)
		snprintf(u->ignored, sizeof(u->ignored),
			"the user name is ignored: only TLS could use it");
	return decode(user, u->user, sizeof(u->user), "user", err);
}

/* One name=value of the query. */
static int param_check(struct piece param, struct nbd_uri *u, struct error *err)
{
	const char *equals = memchr(param.at, '=', param.len);
	size_t len = equals ? (size_t)(equals - param.at) : param.len;
	char name[64];

	if (param.len == 0)
		return 0;
	if (decode((struct piece){param.at, len}, name, sizeof(name), "name of a parameter", err))
		return -EINVAL;
	if (strncasecmp(name, "tls", 3) == 0)
		return error_set(err, -EINVAL,
			"%s: " NO_TLS "leave it out for a server that takes plain connections",
			name);
	if (strcasecmp(name, "socket") == 0)
		return error_set(err, -EINVAL,
			"socket: a Unix socket has no packets to protect; serve the export over "
			"TCP and leave it out");
	for (char *ch = name; *ch; ch++)
		*ch = isprint((unsigned char)*ch) ? *ch : '?';
	if (!u->ignored[0])
		snprintf(u->ignored, sizeof(u->ignored),
			"the parameter '%s' is not supported and is ignored", name);
	return 0;
}

static int query_parse(const char *rest, struct nbd_uri *u, struct error *err)
{
	int rc = 0;

	if (strchr(rest, '#'))
		return error_set(err, -EINVAL,
			"a fragment is not supported; write %%23 for a '#' in the export's name");
	while (rc == 0 && *rest) {
		rest++; /* '?', '&' or ';' */
		rc = param_check(cut(&rest, "&;"), u, err);
	}
	return rc;
}

static int uri_parse(const char *text, struct nbd_uri *u, struct error *err)
{
	const char *rest = text;
	struct piece auth;
	int rc;

	for (const char *ch = text; *ch; ch++)
		if (isspace((unsigned char)*ch) || iscntrl((unsigned char)*ch))
			return error_set(err, -EINVAL,
				"a URI has no spaces; write %%20 for one in the export's name");
	rc = scheme_parse(&rest, err);
	if (rc)
		return rc;
	auth = cut(&rest, "/?#");
	rc = user_parse(&auth, u, err);
	if (rc == 0)
		rc = host_parse(auth, u, err);
	if (rc)
		return rc;
	if (*rest == '/')
		rest++;
	rc = decode(cut(&rest, "?#"), u->export_name, sizeof(u->export_name), "export's name", err);
	return rc ? rc : query_parse(rest, u, err);
}

int nbd_uri_parse(const char *text, struct nbd_uri *out, struct error *err)
{
	struct nbd_uri *u = calloc(1, sizeof(*u));
	int rc = u ? uri_parse(text, u, err) : error_set(err, -ENOMEM, "out of memory");

	if (rc == 0)
		*out = *u;
	free(u);
	return rc;
}
