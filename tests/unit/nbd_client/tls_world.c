/*
 * tls_world.c - see tls_world.h
 */
#include "tests/unit/nbd_client/tls_world.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/tls/tls_creds.h"

#define DAY_S	   86400l
#define PIECE_BYTES 16384u

static char dir[] = "/tmp/test_volume_tls_XXXXXX";

static const char *path(const char *name)
{
	static char out[256];

	snprintf(out, sizeof(out), "%s/%s", dir, name);
	return out;
}

static void psk_put(const char *name, const char *byte)
{
	FILE *file = fopen(path(name), "w");

	assert(file);
	fputs("swap:", file);
	for (unsigned i = 0; i < 32; i++)
		fputs(byte, file);
	fclose(file);
	assert(chmod(path(name), 0600) == 0);
}

int tls_world_group_make(void **state)
{
	static const struct tls_cert_wish wishes[] = {
		{"ca", NULL, NULL, NULL, -DAY_S, DAY_S},
		{"stranger", NULL, NULL, NULL, -DAY_S, DAY_S},
		{"server", "ca", NULL, "10.0.0.2", -DAY_S, DAY_S},
		{"expired", "ca", NULL, "10.0.0.2", -2 * DAY_S, -DAY_S},
		{"elsewhere", "ca", NULL, "10.0.0.9", -DAY_S, DAY_S},
		{"other", "stranger", NULL, "10.0.0.2", -DAY_S, DAY_S},
	};

	if (!mkdtemp(dir))
		return -1;
	for (unsigned i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		tls_cert_make(dir, &wishes[i]);
	psk_put("good.psk", "ab");
	psk_put("wrong.psk", "cd");
	return 0;
}

int tls_world_group_end(void **state)
{
	return tls_dir_remove(dir);
}

/* ---- the server's end of a stream ---- */

static void out_drain(struct stream *s, struct tls_server *g)
{
	fake_stream_write_raw(s, g->out.bytes + g->out.at, g->out.len - g->out.at);
	g->out.at = g->out.len = 0;
}

static void seal(struct stream *s, const void *bytes, size_t len)
{
	struct tls_server *g = s->seal_arg;
	const uint8_t *at = bytes;

	while (len > 0 && !g->error) {
		size_t part = len < PIECE_BYTES ? len : PIECE_BYTES;

		tls_server_say(g, at, part);
		out_drain(s, g);
		at += part;
		len -= part;
	}
}

static void tls_begin(struct fake_server *srv, struct stream *s)
{
	struct tls_world *t = srv->tls_arg;

	assert(!s->seal && s->to_server.len == s->server_at); /* the client waits for the ACK */
	s->opened_at = s->server_at;
	s->server_at = 0;
	s->seal_arg = tls_server_make(dir, t->cert, t->priority);
	s->seal = seal;
}

/* Opens what came, and tells what the server's NBD part may read. */
static void in_open(struct stream *s, struct tls_server *g)
{
	static uint8_t text[PIECE_BYTES];
	ssize_t n = GNUTLS_E_AGAIN;

	do {
		size_t at = g->in.at;

		n = gnutls_record_recv(g->session, text, sizeof(text));
		if (n > 0)
			fake_pipe_put(&s->plain, text, (size_t)n);
		else if (n == GNUTLS_E_AGAIN && g->in.at == at)
			break;
	} while (n > 0 || n == GNUTLS_E_AGAIN);
	assert(n == GNUTLS_E_AGAIN);
}

static void tls_turn(struct fake_server *srv, struct stream *s)
{
	struct tls_world *t = srv->tls_arg;
	struct tls_server *g = s->seal_arg;

	while (s->opened_at < s->to_server.len && !g->error) {
		size_t left = s->to_server.len - s->opened_at;
		size_t part = left < TLS_PIPE_BYTES / 2 ? left : TLS_PIPE_BYTES / 2;

		tls_pipe_put(&g->in, s->to_server.bytes + s->opened_at, part);
		s->opened_at += part;
		tls_server_turn(g);
		if (g->is_done)
			in_open(s, g);
	}
	if (g->is_done && t->update_each && ++t->turns % t->update_each == 0) {
		bool asks = t->updates++ % 8 == 0 && t->updates <= 32;

		assert(gnutls_session_key_update(g->session, asks ? GNUTLS_KU_PEER : 0) == 0);
	}
	assert(!g->error || t->is_content);
	out_drain(s, g);
}

/* ---- the world ---- */

struct tls_world *tls_world_create(const char *cert, const char *psk, const char *priority)
{
	struct tls_world *t = calloc(1, sizeof(*t));
	char key[256];
	struct tls_creds_files files = {0};
	struct error err;

	assert(t);
	if (psk) {
		snprintf(key, sizeof(key), "%s", path(psk));
		files.psk = key;
	} else {
		snprintf(key, sizeof(key), "%s", path("ca.pem"));
		files.ca = key;
	}
	t->cfg.creds = tls_creds_load(&files, &err);
	assert(t->cfg.creds);
	t->cfg.bufs = t->list;
	for (unsigned i = 0; i < VOLUME_CONN_MAX * TLS_TX_BUFS; i++) {
		t->bufs[i].bytes = TLS_TX_BUF_BYTES;
		t->bufs[i].base = malloc(TLS_TX_BUF_BYTES);
		t->list[i] = &t->bufs[i];
		assert(t->bufs[i].base);
	}
	t->cert = cert;
	t->priority = priority;
	t->w = world_create();
	t->w->cfg.tls = &t->cfg;
	t->w->srv->tls_begin = tls_begin;
	t->w->srv->tls_turn = tls_turn;
	t->w->srv->tls_arg = t;
	return t;
}

void tls_world_destroy(struct tls_world *t)
{
	struct tls_server *ends[FAKE_STREAM_MAX] = {NULL};

	for (unsigned i = 0; i < FAKE_STREAM_MAX; i++)
		if (t->w->net->streams[i].seal)
			ends[i] = t->w->net->streams[i].seal_arg;
	t->is_content = true;
	world_destroy(t->w);
	for (unsigned i = 0; i < FAKE_STREAM_MAX; i++)
		if (ends[i])
			tls_server_free(ends[i]);
	for (unsigned i = 0; i < VOLUME_CONN_MAX * TLS_TX_BUFS; i++) {
		assert(!stream_buf_busy(&t->bufs[i]));
		free(t->bufs[i].base);
	}
	tls_creds_free((struct tls_creds *)(uintptr_t)t->cfg.creds);
	free(t);
}
