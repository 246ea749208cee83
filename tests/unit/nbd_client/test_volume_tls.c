/*
 * test_volume_tls.c - volumes over TLS: all data right, nothing of it in plaintext, each fault told
 *
 * The server's TLS is GnuTLS's. What passes the wire is looked at for what must not be there.
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/nbd_client/tls_world.h"

#define PSK_ANY "NORMAL:-KX-ALL:+ECDHE-PSK:+DHE-PSK"
#define V12	":-VERS-ALL:+VERS-TLS1.2"

static const struct kind {
	const char *cert, *psk, *priority;
} kinds[] = {
	{NULL, "good.psk", PSK_ANY},
	{"server", NULL, "NORMAL"},
	{NULL, "good.psk", PSK_ANY V12},
	{"server", NULL, "NORMAL" V12},
	{"server", NULL, "NORMAL:-CIPHER-ALL:+AES-256-GCM"},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static struct tls_world *made(unsigned kind)
{
	return tls_world_create(kinds[kind].cert, kinds[kind].psk, kinds[kind].priority);
}

static struct tls_world *ready(struct tls_world *t)
{
	world_start(t->w);
	if (!world_until(t->w, VOLUME_READY, 900000))
		print_error("%s\n", t->w->last_event);
	assert_int_equal(world_info(t->w).state, VOLUME_READY);
	return t;
}

/* Writes of every size, each place once, and reads of all of them; the disk must agree. */
static void load(struct tls_world *t)
{
	static const uint32_t sizes[] = {512, 4096, 16384, 20480, 65536, 131072, 262144};
	struct world *w = t->w;
	uint64_t at = 0;
	unsigned from = w->req_count, writes = 0;

	for (unsigned i = 0; i < 7; i++) {
		world_ask(w, BLOCK_WRITE, at, sizes[i], i % 2 ? BLOCK_FUA : 0, (uint8_t)(0xd0 + i));
		at += sizes[i];
		writes++;
	}
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	assert_true(world_settle(w, 20000000));
	at = 0;
	for (unsigned i = 0; i < 7; i++) {
		for (uint32_t b = 0; b < sizes[i]; b++)
			assert_int_equal(w->srv->disk[at + b], 0xd0 + i);
		world_ask(w, BLOCK_READ, at, sizes[i], 0, 0);
		at += sizes[i];
	}
	assert_true(world_settle(w, 20000000));
	for (unsigned i = from; i < w->req_count; i++)
		assert_int_equal(w->reqs[i].result, 0);
	for (unsigned i = 0; i < writes; i++)
		for (uint32_t b = 0; b < sizes[i]; b++)
			assert_int_equal(world_data(w, from + writes + 1 + i)[b], 0xd0 + i);
}

/* Nothing of payload or export is on the wire. (What came was opened where it lies.) */
static void nothing_is_plain(const struct tls_world *t)
{
	static uint8_t run[64];

	for (unsigned i = 0; i < t->w->net->opened; i++) {
		const struct stream *s = &t->w->net->streams[i];

		if (s->to_server.len == 0)
			continue;
		for (unsigned fill = 0xd0; fill < 0xd7; fill++) {
			memset(run, (int)fill, sizeof(run));
			assert_null(memmem(s->to_server.bytes, s->to_server.len, run, sizeof(run)));
		}
		assert_null(memmem(s->to_server.bytes, s->to_server.len, "secret", 6));
	}
}

static void volume_serves_over_every_kind_of_tls(void **state)
{
	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		struct tls_world *t = made(kind);

		strcpy(t->w->cfg.uris[0].export_name, "secret");
		t->w->cfg.io_bytes_max = WORLD_SLOT_BYTES;
		load(ready(t));
		nothing_is_plain(t);
		assert_true(t->w->net->streams[0].seal != NULL);
		tls_world_destroy(t);
	}
}

static void volume_serves_however_the_bytes_come(void **state)
{
	static const struct {
		size_t drip_bytes;
		uint32_t span_bytes;
	} ways[] = {{97, 0}, {1460, 1448}, {5000, 100}, {0, 100}, {0, 1}, {16384, 33}};

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct tls_world *t = made(i % 2);

		t->w->net->drip_bytes = ways[i].drip_bytes;
		t->w->net->span_bytes = ways[i].span_bytes;
		t->w->cfg.request_us = 0;
		load(ready(t));
		tls_world_destroy(t);
	}
}

static void several_connections_have_keys_of_their_own(void **state)
{
	struct tls_world *t = made(0);

	t->w->cfg.connections = 4;
	ready(t);
	world_turns(t->w, 200);
	assert_int_equal(world_info(t->w).conn_ready, 4);
	load(t);
	nothing_is_plain(t);
	tls_world_destroy(t);
}

static void keys_change_under_load(void **state)
{
	struct tls_world *t = made(0);

	t->update_each = 1;
	ready(t);
	for (unsigned i = 0; i < 12; i++)
		load(t);
	assert_true(t->updates > 30);
	assert_int_equal(world_info(t->w).reconnects, 0);
	nothing_is_plain(t);
	tls_world_destroy(t);
}

/* A connection ends after so many bytes, in the handshake too: it comes back, data is right. */
static void lost_connections_come_back(void **state)
{
	static const size_t cuts[] = {18, 40, 100, 300, 700, 2000, 20000, 100000};

	for (unsigned i = 0; i < 2 * sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct tls_world *t = made(i % 2);

		t->w->cfg.servers.count = 2; /* the first address may fail before it was READY */
		t->w->cfg.servers.list[1] = t->w->cfg.servers.list[0];
		t->w->net->cut_to_client = cuts[i / 2];
		t->w->net->cut_is_reset = i % 4 < 2;
		t->is_content = true;
		load(ready(t));
		assert_true(t->w->net->opened > 1);
		nothing_is_plain(t);
		tls_world_destroy(t);
	}
}

/* A bit turned on its way, at many places: the connection is lost, the data is right. */
static void damaged_records_give_no_wrong_data(void **state)
{
	for (unsigned i = 0; i < 40; i++) {
		struct tls_world *t = made(i % 4);
		struct stream *s;
		unsigned r;

		ready(t);
		memset(t->w->srv->disk, 0x77, 65536);
		t->is_content = true;
		t->w->net->drip_bytes = 1000;
		r = world_ask(t->w, BLOCK_READ, 0, 65536, 0, 0);
		s = &t->w->net->streams[0];
		for (unsigned k = 0; k < 10 && s->to_client.len <= s->visible + 40000; k++)
			world_turns(t->w, 1);
		s->to_client.bytes[s->visible + i * 997] ^= (uint8_t)(1u << i % 8);
		assert_true(world_settle(t->w, 20000000));
		assert_int_equal(t->w->reqs[r].result, 0);
		for (unsigned b = 0; b < 65536; b++)
			assert_int_equal(world_data(t->w, r)[b], 0x77);
		assert_int_equal(t->w->net->opened, 2);
		assert_int_equal(world_info(t->w).reconnects, 1);
		tls_world_destroy(t);
	}
}

/*
 * Nothing is acknowledged: WRITEs stop where memory ends, READs go on. @is_wire_fast: no mbuf
 * refers to the memory any more, but a retransmission would.
 */
static void writes_stop(bool is_wire_fast)
{
	struct tls_world *t = made(0);
	struct world *w = t->w;
	unsigned first, done = 0, read;

	w->cfg.queue_depth = 64;
	w->cfg.request_us = 0;
	ready(t);
	w->net->holds_acks = true;
	w->net->is_wire_fast = is_wire_fast;
	first = w->req_count;
	for (unsigned i = 0; i < 30; i++)
		world_ask(w, BLOCK_WRITE, 0, 65536, 0, 0x11);
	world_turns(w, 100);
	assert_true(w->srv->cmd_count > 8 && w->srv->cmd_count < 20);
	read = world_ask(w, BLOCK_READ, 65536, 4096, 0, 0);
	world_turns(w, 20);
	assert_true(w->reqs[read].is_done);
	w->net->holds_acks = false;
	assert_true(world_settle(w, 1000000));
	for (unsigned i = first; i < w->req_count; i++)
		done += w->reqs[i].result == 0;
	assert_int_equal(done, 31);
	tls_world_destroy(t);
}

static void unacknowledged_writes_leave_reads_room(void **state)
{
	writes_stop(false);
	writes_stop(true);
}

/* The control thread is late: attempts end at their deadline, and the next waits for its mail. */
static void a_late_control_thread_is_waited_for(void **state)
{
	struct tls_world *t = made(0);
	unsigned opened;

	ready(t);
	t->is_content = true;
	t->w->is_control_busy = true;
	t->w->net->streams[0].is_eof_sent = true;
	world_turns(t->w, 5000);
	opened = t->w->net->opened;
	assert_true(opened >= 2);
	world_turns(t->w, 20000);
	assert_int_equal(t->w->net->opened, opened);
	t->w->is_control_busy = false;
	load(t);
	tls_world_destroy(t);
}

/* A record was sealed and the stream refuses it: the connection ends, nothing is sent twice. */
static void a_sealed_record_that_cannot_be_sent_ends_it(void **state)
{
	for (unsigned i = 1; i < 6; i++) {
		struct tls_world *t = made(0);

		ready(t);
		t->is_content = true;
		t->w->net->refused_sends = i;
		load(t);
		assert_true(t->w->net->opened >= 2);
		tls_world_destroy(t);
	}
}

static void refused(struct tls_world *t, const char *why)
{
	t->is_content = true;
	strcpy(t->w->cfg.uris[0].export_name, "secret");
	world_start(t->w);
	assert_true(world_until(t->w, VOLUME_FAILED, 20000000));
	if (!strstr(t->w->last_event, why))
		print_error("'%s' instead of '%s'\n", t->w->last_event, why);
	assert_has(t->w->last_event, why);
	nothing_is_plain(t);
	tls_world_destroy(t);
}

static void refusals_name_the_remedy(void **state)
{
	struct tls_world *t = made(0);

	t->w->srv->tls_begin = NULL;
	refused(t, "the server does not do TLS");
	refused(tls_world_create(NULL, "wrong.psk", PSK_ANY), "check user and key of tls_psk");
	refused(tls_world_create("expired", NULL, "NORMAL"), "has expired");
	refused(tls_world_create("other", NULL, "NORMAL"), "not signed by an authority");
	refused(tls_world_create("elsewhere", NULL, "NORMAL"), "is for another name");
	t = tls_world_create("elsewhere", NULL, "NORMAL");
	t->cfg.hostname = "10.0.0.9";
	load(ready(t));
	tls_world_destroy(t);
}

static void a_volume_may_end_at_any_time_of_a_handshake(void **state)
{
	for (unsigned turns = 0; turns < 20; turns++) {
		for (unsigned force = 0; force < 2; force++) {
			struct tls_world *t = made(turns % 4);

			t->is_content = true;
			world_start(t->w);
			world_turns(t->w, turns);
			volume_stop(t->w->volume, force, t->w->now_us + 100000);
			assert_true(world_until(t->w, VOLUME_GONE, NBD_PART_US + 200000));
			tls_world_destroy(t);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_serves_over_every_kind_of_tls),
		cmocka_unit_test(volume_serves_however_the_bytes_come),
		cmocka_unit_test(several_connections_have_keys_of_their_own),
		cmocka_unit_test(keys_change_under_load),
		cmocka_unit_test(lost_connections_come_back),
		cmocka_unit_test(damaged_records_give_no_wrong_data),
		cmocka_unit_test(unacknowledged_writes_leave_reads_room),
		cmocka_unit_test(a_late_control_thread_is_waited_for),
		cmocka_unit_test(a_sealed_record_that_cannot_be_sent_ends_it),
		cmocka_unit_test(refusals_name_the_remedy),
		cmocka_unit_test(a_volume_may_end_at_any_time_of_a_handshake),
	};

	return cmocka_run_group_tests(tests, tls_world_group_make, tls_world_group_end);
}
