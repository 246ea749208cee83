/*
 * nbd_bench_socket.c - the NBD client and bench over kernel sockets, against any server
 *
 * The worker's loop of one volume in a few lines: poll the sockets, turn the client, until bench is
 * done or the volume gives up. Events go to stderr as they happen, the result to stdout as one line
 * of JSON. Exit status 0: every request was answered without an error and, with --verify, right.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "nbd_client/bench/bench.h"
#include "nbd_client/nbd_client.h"
#include "nbd_client/tls/tls_creds.h"
#include "tests/net/stream_socket.h"

struct options {
	struct volume_config volume;
	struct bench_config bench;
	bool has_tls;
	struct tls_creds_files tls;
	const char *tls_host;
};

struct run {
	struct options opt;
	struct net *net;
	struct nbd_client *nc;
	struct volume *volume;
	struct bench *bench;
	struct stream_buf buf;
	struct volume_tls_config tls;
	struct tls_creds *creds;
	struct stream_buf tls_bufs[VOLUME_CONN_MAX * TLS_TX_BUFS];
	struct stream_buf *tls_list[VOLUME_CONN_MAX * TLS_TX_BUFS];
	bool is_failed;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *text)
{
	fprintf(stderr, "%s\n", text);
	exit(2);
}

static void server_add(struct volume_config *cfg, const char *text)
{
	struct volume_server *server = &cfg->servers.list[cfg->servers.count];
	struct nbd_uri *uri = &cfg->uris[cfg->servers.count];
	struct error err;

	if (cfg->servers.count == VOLUME_URI_MAX)
		die("too many URIs");
	if (nbd_uri_parse(text, uri, &err) < 0)
		die(err.text);
	server->uri = (uint8_t)cfg->servers.count;
	server->ip.family = AF_INET;
	if (inet_pton(AF_INET, uri->host, server->ip.addr) != 1)
		die("this tool wants an IPv4 address as host");
	cfg->servers.count++;
}

enum option_id {
	OPT_RW = 1,
	OPT_BS,
	OPT_IODEPTH,
	OPT_RUNTIME,
	OPT_SIZE,
	OPT_VERIFY,
	OPT_CONNECTIONS,
	OPT_FAIL_MS,
	OPT_REQUEST_MS,
	OPT_QUOTA,
	OPT_IO_MAX,
	OPT_PROBE,
	OPT_SEED,
	OPT_CONNECT_MS,
	OPT_TLS_PSK,
	OPT_TLS_USER,
	OPT_TLS_CA,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_TLS_HOST,
};

static const struct option long_options[] = {
	{"rw", required_argument, NULL, OPT_RW},
	{"bs", required_argument, NULL, OPT_BS},
	{"iodepth", required_argument, NULL, OPT_IODEPTH},
	{"runtime-ms", required_argument, NULL, OPT_RUNTIME},
	{"size", required_argument, NULL, OPT_SIZE},
	{"verify", no_argument, NULL, OPT_VERIFY},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"fail-ms", required_argument, NULL, OPT_FAIL_MS},
	{"request-ms", required_argument, NULL, OPT_REQUEST_MS},
	{"quota-mbufs", required_argument, NULL, OPT_QUOTA},
	{"io-bytes-max", required_argument, NULL, OPT_IO_MAX},
	{"probe", no_argument, NULL, OPT_PROBE},
	{"seed", required_argument, NULL, OPT_SEED},
	{"connect-ms", required_argument, NULL, OPT_CONNECT_MS},
	{"tls-psk", required_argument, NULL, OPT_TLS_PSK},
	{"tls-user", required_argument, NULL, OPT_TLS_USER},
	{"tls-ca", required_argument, NULL, OPT_TLS_CA},
	{"tls-cert", required_argument, NULL, OPT_TLS_CERT},
	{"tls-key", required_argument, NULL, OPT_TLS_KEY},
	{"tls-host", required_argument, NULL, OPT_TLS_HOST},
	{0},
};

static uint64_t size_of(const char *text)
{
	struct error err;
	uint64_t bytes;

	if (bench_size_parse(text, &bytes, &err) < 0)
		die(err.text);
	return bytes;
}

static void bs_parse(struct bench_config *b, char *text)
{
	char *dash = strchr(text, '-');

	if (dash)
		*dash++ = '\0';
	b->bs_min = (uint32_t)size_of(text);
	b->bs_max = dash ? (uint32_t)size_of(dash) : b->bs_min;
}

/* True: it was one of TLS's. */
static bool tls_option_apply(struct options *o, int id, const char *arg)
{
	const char **to[] = {
		[OPT_TLS_PSK] = &o->tls.psk,
		[OPT_TLS_USER] = &o->tls.username,
		[OPT_TLS_CA] = &o->tls.ca,
		[OPT_TLS_CERT] = &o->tls.cert,
		[OPT_TLS_KEY] = &o->tls.key,
		[OPT_TLS_HOST] = &o->tls_host,
	};

	if (id < OPT_TLS_PSK || id > OPT_TLS_HOST)
		return false;
	*to[id] = arg;
	o->has_tls = true;
	return true;
}

static void option_apply(struct options *o, int id, char *arg)
{
	struct error err;

	if (tls_option_apply(o, id, arg))
		return;
	switch ((enum option_id)id) {
	case OPT_RW:
		if (bench_rw_parse(arg, &o->bench.rw, &err) < 0)
			die(err.text);
		return;
	case OPT_BS:
		bs_parse(&o->bench, arg);
		return;
	case OPT_IODEPTH:
		o->bench.iodepth = o->volume.queue_depth = (uint16_t)atoi(arg);
		return;
	case OPT_RUNTIME:
		o->bench.runtime_us = strtoull(arg, NULL, 10) * 1000;
		return;
	case OPT_SIZE:
		o->bench.size_bytes = size_of(arg);
		return;
	case OPT_VERIFY:
		o->bench.verify = true;
		return;
	case OPT_CONNECTIONS:
		o->volume.connections = (uint16_t)atoi(arg);
		return;
	case OPT_FAIL_MS:
		o->volume.on_dead = ON_DEAD_FAIL;
		o->volume.dead_us = strtoull(arg, NULL, 10) * 1000;
		return;
	case OPT_REQUEST_MS:
		o->volume.request_us = strtoull(arg, NULL, 10) * 1000;
		return;
	case OPT_QUOTA:
		o->volume.quota_mbufs = (uint32_t)atoi(arg);
		return;
	case OPT_IO_MAX:
		o->volume.io_bytes_max = (uint32_t)size_of(arg);
		return;
	case OPT_PROBE:
		o->volume.probe_only = true;
		return;
	case OPT_CONNECT_MS:
		o->volume.connect_us = strtoull(arg, NULL, 10) * 1000;
		return;
	case OPT_SEED:
		o->bench.seed = strtoull(arg, NULL, 10);
		return;
	default:
		break;
	}
	die("usage: nbd_bench_socket [OPTION]... URI...");
}

static void options_parse(struct options *o, int argc, char **argv)
{
	int id;

	*o = (struct options){
		.volume = {.name = "test",
			.connections = 1,
			.queue_depth = 16,
			.io_bytes_max = IO_BYTES_DEFAULT,
			.connect_us = 20000000},
		.bench = {.rw = BENCH_RANDRW,
			.bs_min = 4096,
			.bs_max = 4096,
			.iodepth = 16,
			.rwmix_read_pct = 50,
			.seed = 1},
	};
	while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		option_apply(o, id, optarg);
	for (; optind < argc; optind++)
		server_add(&o->volume, argv[optind]);
	if (o->volume.servers.count == 0)
		die("usage: nbd_bench_socket [OPTION]... URI...");
}

static void events_print(struct run *r)
{
	struct volume_event ev;

	while (nbd_client_events(r->nc, &ev, 1)) {
		if (ev.text[0])
			fprintf(stderr, "%s\n", ev.text);
		if (ev.type == VOLUME_EVENT_STATE && ev.state == VOLUME_FAILED && !r->bench)
			r->is_failed = true;
	}
}

static void turn(struct run *r)
{
	bool is_busy = nbd_client_pending(r->nc);

	net_socket_turn(r->net, is_busy || nbd_client_deadline(r->nc) <= now_us() ? 0 : 1);
	nbd_client_turn(r->nc, now_us());
	(void)volume_tls_serve(r->volume);
	events_print(r);
}

static enum volume_state state_of(const struct run *r)
{
	struct volume_info info;

	volume_info(r->volume, &info);
	return info.state;
}

static void bench_start(struct run *r)
{
	struct bench_config *b = &r->opt.bench;
	struct volume_info info;
	struct error err;

	volume_info(r->volume, &info);
	b->limits = info.limits;
	r->buf.bytes = (uint32_t)b->iodepth * b->bs_max;
	r->buf.base = aligned_alloc(4096, (r->buf.bytes + 4095) & ~4095u);
	b->buf = &r->buf;
	assert(r->buf.base);
	r->bench = bench_create(b, &err);
	if (!r->bench)
		die(err.text);
	volume_front_set(r->volume, bench_front(r->bench));
}

static int bench_print(const struct run *r)
{
	struct bench_result b;
	struct volume_info i;
	double seconds;

	volume_info(r->volume, &i);
	bench_result(&r->bench, 1, &b);
	seconds = b.elapsed_us ? (double)b.elapsed_us / 1e6 : 1;
	printf("{\"reads\":%" PRIu64 ",\"writes\":%" PRIu64 ",\"errors\":%" PRIu64
	       ",\"verify_errors\":%" PRIu64 ",\"verified\":%" PRIu64 ",\"iops\":%.0f,\"mb_s\":%.4f"
	       ",\"p99_us\":%.1f,\"reconnects\":%" PRIu64 ",\"replayed\":%" PRIu64
	       ",\"protocol_errors\":%" PRIu64 ",\"structured\":%s,\"busy\":%u}\n",
		b.ios[0], b.ios[1], b.errors, b.verify_errors, b.verified_blocks,
		(double)(b.ios[0] + b.ios[1]) / seconds,
		(double)(b.bytes[0] + b.bytes[1]) / seconds / 1e6, b.p99_us, i.reconnects,
		i.replayed, i.protocol_errors, i.structured ? "true" : "false", r->buf.refs);
	if (b.verify_text[0])
		fprintf(stderr, "verify: %s\n", b.verify_text);
	return b.errors || b.verify_errors || r->buf.refs ? 1 : 0;
}

static int probe_print(const struct run *r)
{
	const struct volume_probe *p = volume_probe(r->volume);
	struct volume_info i;

	volume_info(r->volume, &i);
	printf("{\"has_export\":%s,\"size\":%" PRIu64 ",\"flags\":%u,\"block_min\":%u,"
	       "\"structured\":%s,\"has_list\":%s,\"exports\":[",
		p->has_export ? "true" : "false", p->size_bytes, i.nbd_flags,
		i.limits.block_min, i.structured ? "true" : "false",
		p->has_list ? "true" : "false");
	for (unsigned n = 0; n < p->export_count; n++)
		printf("%s\"%s\"", n ? "," : "", p->text + p->exports[n].name_at);
	printf("]}\n");
	return p->has_export ? 0 : 1;
}

static void tls_begin(struct run *r)
{
	struct error err;

	if (!r->opt.has_tls)
		return;
	r->creds = tls_creds_load(&r->opt.tls, &err);
	if (!r->creds)
		die(err.text);
	for (unsigned i = 0; i < r->opt.volume.connections * TLS_TX_BUFS; i++) {
		r->tls_bufs[i].bytes = TLS_TX_BUF_BYTES;
		r->tls_bufs[i].base = aligned_alloc(4096, TLS_TX_BUF_BYTES);
		assert(r->tls_bufs[i].base);
		r->tls_list[i] = &r->tls_bufs[i];
	}
	r->tls = (struct volume_tls_config){
		.creds = r->creds, .hostname = r->opt.tls_host, .bufs = r->tls_list};
	r->opt.volume.tls = &r->tls;
}

static void tls_end(struct run *r)
{
	for (unsigned i = 0; r->creds && i < r->opt.volume.connections * TLS_TX_BUFS; i++)
		free(r->tls_bufs[i].base);
	tls_creds_free(r->creds);
}

int main(int argc, char **argv)
{
	struct run r = {0};
	struct error err;
	int rc = 1;

	options_parse(&r.opt, argc, argv);
	tls_begin(&r);
	r.net = net_socket_create();
	r.nc = nbd_client_create(r.net, now_us());
	r.volume = volume_create(&r.opt.volume, &err);
	if (!r.volume)
		die(err.text);
	if (nbd_client_add(r.nc, r.volume, now_us()) < 0)
		die("no room for the volume");
	while (!r.is_failed && state_of(&r) == VOLUME_CONNECTING)
		turn(&r);
	if (state_of(&r) == VOLUME_READY)
		bench_start(&r);
	while (r.bench && !bench_done(r.bench))
		turn(&r);
	volume_stop(r.volume, false, now_us() + 5000000);
	while (state_of(&r) != VOLUME_GONE)
		turn(&r);
	for (int i = 0; i < 10; i++) /* the good-byes leave the socket queues */
		net_socket_turn(r.net, 1);
	if (r.bench)
		rc = bench_print(&r);
	else if (r.opt.volume.probe_only)
		rc = probe_print(&r);
	bench_destroy(r.bench);
	volume_destroy(r.volume);
	nbd_client_destroy(r.nc);
	net_socket_destroy(r.net);
	tls_end(&r);
	free(r.buf.base);
	return rc;
}
