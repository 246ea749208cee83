/*
 * test_tcp_run.c - a burst taken as a run leaves what its segments, taken one by one, would leave
 *
 * Each case is a burst around one segment that is not like the others. It is played twice, packet
 * by packet and in one burst, and everything that can be seen of the connection afterwards must be
 * equal: the stream, what is sent, the windows, where each mbuf is, and when it wants to be called
 * again. A young connection acknowledges at once, an older one when an ACK is due: each case is
 * played with both.
 */
#include "tests/unit/net/conv.h"

#include "tests/abi/stt_burst.h"
#include "tests/abi/stt_impl.h"
#include "mempool_reserve/reserve.h"

#define CASE_SEGS 5
#define AGE_SEGS  20 /* more than are acknowledged at once */

struct burst_case {
	const char *name;
	struct options opt;
	struct segment segs[CASE_SEGS];
	unsigned in_run; /* segments a run takes in one burst */
	uint32_t limit;	 /* of the connection's owner in the ledger; 0 = none */
};

struct seen {
	uint8_t sent[4096], got[8192];
	long sent_bytes, got_bytes;
	struct stt_info info;
	uint64_t in_run, deadline_us;
	uint32_t charged; /* mbufs, to the connection's owner, before they are read */
};

/* What a case does not say is as in the others: an ACK of all we sent, with 1000 bytes of text. */
#define TEXT(number) .seq = PEER_ISS + 1 + (number) * 1000
#define NO_TEXT	     UINT32_MAX

static const struct burst_case cases[] = {
	{"all alike", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 4},
	{"timestamps", {.ts = true}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 4},
	{"IPv6", {.ip6 = true}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 4},
	{"PSH", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .flags = ACK | PSH}, {TEXT(3)}, {TEXT(4)}},
		4},
	{"FIN", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4), .flags = ACK | FIN}},
		3},
	{"a reset", {0},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .flags = RST, .len = NO_TEXT}, {TEXT(2)},
			{TEXT(3)}},
		1},
	{"SYN", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .flags = ACK | SYN}, {TEXT(2)}, {TEXT(3)}},
		2},
	{"a hole", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(3)}, {TEXT(4)}, {TEXT(2)}}, 1},
	{"a duplicate", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}}, 1},
	{"an overlap", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(1), .len = 1400}, {TEXT(2)}, {TEXT(3)}},
		1},
	{"no text", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .len = NO_TEXT}, {TEXT(2)}, {TEXT(3)}},
		2},
	{"little text", {0},
		{{TEXT(0)}, {TEXT(1), .len = 10}, {.seq = 1911, .len = 990}, {TEXT(2)}, {TEXT(3)}},
		2},
	{"another window", {0},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .wnd = 9000}, {TEXT(3), .wnd = 9000},
			{TEXT(4), .wnd = 9000}},
		2},
	{"another ACK", {0},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .ack = 601}, {TEXT(3), .ack = 601},
			{TEXT(4), .ack = 601}},
		2},
	{"an ACK of what was not sent", {0},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .ack = 9101}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"another clock", {.ts = true},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .has_ts = true, .tsval = TSVAL_PEER + 7},
			{TEXT(3)}, {TEXT(4)}},
		2},
	{"an old clock", {.ts = true},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .has_ts = true, .tsval = TSVAL_PEER - 7},
			{TEXT(2)}, {TEXT(3)}},
		2},
	{"no clock", {.ts = true},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .no_ts = true}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"congestion", {.ecn = true},
		{{TEXT(0), .ecn = 2}, {TEXT(1), .ecn = 2}, {TEXT(2), .ecn = 3}, {TEXT(3), .ecn = 2},
			{TEXT(4), .ecn = 2}},
		1},
	{"congestion over IPv6", {.ecn = true, .ip6 = true},
		{{TEXT(0), .ecn = 2}, {TEXT(1), .ecn = 2}, {TEXT(2), .ecn = 3}, {TEXT(3), .ecn = 2},
			{TEXT(4), .ecn = 2}},
		1},
	{"a bad checksum", {0},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .bad_csum = true}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"SACK blocks", {0},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .sacks = 1, .sack = {{201, 301}}}, {TEXT(3)},
			{TEXT(4)}},
		2},
	{"a stranger between", {0},
		{{TEXT(0)}, {TEXT(1)}, {TEXT(2), .sport = 999}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"no room in the ledger", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 2,
		.limit = 3},
	{"no window left", {.quota = 4}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}},
		1},
};

static void arrive(struct segment s, uint32_t later)
{
	s.seq += later;
	s.flags = s.flags ? s.flags : ACK;
	s.ack = s.ack ? s.ack : 101;
	s.len = s.len == NO_TEXT ? 0 : s.len ? s.len : 1000;
	conv_rx(&s);
}

/* What came before the burst. Out: bytes. */
static uint32_t grow_old(void)
{
	uint8_t text[1000];

	for (uint32_t i = 0; i < AGE_SEGS; i++) {
		rx(.flags = ACK, .seq = PEER_ISS + 1 + i * 1000, .ack = 101, .len = 1000);
		assert_int_equal(stt_recv(conv.stt, conv.id, text, sizeof(text)), sizeof(text));
		tx_drain();
	}
	after_ms(1);
	tx_drain();
	return AGE_SEGS * 1000;
}

static uint32_t charged_to(int owner)
{
	struct reserve_owner_info all[OWNER_MAX];
	unsigned n = reserve_owners(conv.stt->rx_pool, all, OWNER_MAX);

	for (unsigned i = 0; i < n; i++)
		if (all[i].id == owner)
			return all[i].used;
	fail_msg("the ledger does not know owner %d", owner);
	return 0;
}

static void play(const struct burst_case *c, bool is_old, bool is_burst, struct seen *seen)
{
	uint32_t later;
	long n;

	memset(seen, 0, sizeof(*seen));
	conv_open(&c->opt);
	rx(.flags = ACK, .seq = 901, .ack = 101); /* the window of the SYN|ACK was not scaled */
	later = is_old ? grow_old() : 0;
	reserve_owner_limit(conv.stt->rx_pool, (uint16_t)conv.stt->owner, c->limit);
	send_bytes(1000);
	tx_drain();
	if (is_burst)
		stt_burst_begin(conv.stt);
	for (unsigned i = 0; i < CASE_SEGS; i++)
		arrive(c->segs[i], later);
	stt_burst_end(conv.stt);
	seen->info = info();
	seen->charged = charged_to(conv.stt->owner);
	while ((n = stt_tx(conv.stt, seen->sent + seen->sent_bytes,
			sizeof(seen->sent) - (size_t)seen->sent_bytes)) > 0)
		seen->sent_bytes += n;
	seen->deadline_us = stt_deadline_us(conv.stt);
	n = stt_recv(conv.stt, conv.id, seen->got, sizeof(seen->got));
	seen->got_bytes = n;
	seen->in_run = stt_run_segs(conv.stt);
	reserve_owner_limit(conv.stt->rx_pool, (uint16_t)conv.stt->owner, 0);
	assert_int_equal(conv_end(NULL), 0);
}

static void compare(const struct burst_case *c, bool is_old)
{
	static struct seen alone, together;

	play(c, is_old, false, &alone);
	play(c, is_old, true, &together);
	if (alone.in_run != 0 || together.in_run != c->in_run)
		fail_msg("%s: a run took %lu segments, not %u; of single packets %lu", c->name,
			(unsigned long)together.in_run, c->in_run, (unsigned long)alone.in_run);
	if (alone.got_bytes != together.got_bytes ||
		memcmp(alone.got, together.got, sizeof(alone.got)) != 0)
		fail_msg("%s: %ld bytes were read alone, %ld together", c->name, alone.got_bytes,
			together.got_bytes);
	if (alone.sent_bytes != together.sent_bytes ||
		memcmp(alone.sent, together.sent, sizeof(alone.sent)) != 0)
		fail_msg("%s: another answer", c->name);
	if (alone.charged != together.charged)
		fail_msg("%s: %u mbufs are the connection's alone, %u together", c->name,
			alone.charged, together.charged);
	if (memcmp(&alone.info, &together.info, sizeof(alone.info)) != 0)
		fail_msg("%s: another state", c->name);
	if (alone.deadline_us != together.deadline_us)
		fail_msg("%s: alone it wants to be called %ld us earlier", c->name,
			(long)(together.deadline_us - alone.deadline_us));
}

static void tcp_burst_leaves_what_its_segments_one_by_one_would(void **state)
{
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		compare(&cases[i], false);
}

static void tcp_burst_is_acknowledged_when_its_segments_would_be(void **state)
{
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		compare(&cases[i], true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.10.7, for a burst */
		conv_test(tcp_burst_leaves_what_its_segments_one_by_one_would),
		/* RFC 5681 4.2: when the ACK is due */
		conv_test(tcp_burst_is_acknowledged_when_its_segments_would_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
