/*
 * test_tcp_run.c - a burst taken as a run leaves what its segments, taken one by one, would leave
 *
 * Each case is a burst around one segment that is not like the others. It is played twice, packet by
 * packet and in one burst, and everything that can be seen of the connection afterwards must be equal: the
 * stream, what is sent, the windows, and where each mbuf is.
 */
#include "tests/unit/net/conv.h"

#include "tests/abi/stt_burst.h"
#include "tests/abi/stt_impl.h"
#include "mempool_reserve/reserve.h"

#define CASE_SEGS 5

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
	uint64_t in_run;
	uint32_t charged; /* mbufs, to the connection's owner, before they are read */
};

/* What a case does not say is as in the others: an ACK of all we sent, with 1000 bytes of text. */
#define TEXT(number) .seq = PEER_ISS + 1 + (number) * 1000
#define NO_TEXT	     UINT32_MAX

static const struct burst_case cases[] = {
	{"all alike", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 4},
	{"timestamps", {.ts = true}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 4},
	{"IPv6", {.ip6 = true}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 4},
	{"PSH", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .flags = ACK | PSH}, {TEXT(3)}, {TEXT(4)}}, 4},
	{"FIN", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4), .flags = ACK | FIN}}, 3},
	{"a reset", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .flags = RST, .len = NO_TEXT}, {TEXT(2)}, {TEXT(3)}}, 1},
	{"SYN", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .flags = ACK | SYN}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"a hole", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(3)}, {TEXT(4)}, {TEXT(2)}}, 1},
	{"a duplicate", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}}, 1},
	{"an overlap", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(1), .len = 1400}, {TEXT(2)}, {TEXT(3)}}, 1},
	{"no text", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .len = NO_TEXT}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"little text", {0}, {{TEXT(0)}, {TEXT(1), .len = 10}, {.seq = 1911, .len = 990}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"another window", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .wnd = 9000}, {TEXT(3), .wnd = 9000}, {TEXT(4), .wnd = 9000}}, 2},
	{"another ACK", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .ack = 601}, {TEXT(3), .ack = 601}, {TEXT(4), .ack = 601}}, 2},
	{"an ACK of what was not sent", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .ack = 9101}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"another clock", {.ts = true}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .has_ts = true, .tsval = TSVAL_PEER + 7}, {TEXT(3)}, {TEXT(4)}}, 2},
	{"an old clock", {.ts = true}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .has_ts = true, .tsval = TSVAL_PEER - 7}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"no clock", {.ts = true}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .no_ts = true}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"congestion", {.ecn = true}, {{TEXT(0), .ecn = 2}, {TEXT(1), .ecn = 2}, {TEXT(2), .ecn = 3}, {TEXT(3), .ecn = 2}, {TEXT(4), .ecn = 2}}, 1},
	{"congestion over IPv6", {.ecn = true, .ip6 = true},
		{{TEXT(0), .ecn = 2}, {TEXT(1), .ecn = 2}, {TEXT(2), .ecn = 3}, {TEXT(3), .ecn = 2}, {TEXT(4), .ecn = 2}}, 1},
	{"a bad checksum", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .bad_csum = true}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"SACK blocks", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .sacks = 1, .sack = {{201, 301}}}, {TEXT(3)}, {TEXT(4)}}, 2},
	{"a stranger between", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2), .sport = 999}, {TEXT(2)}, {TEXT(3)}}, 2},
	{"no room in the ledger", {0}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 2, .limit = 3},
	{"no window left", {.quota = 4}, {{TEXT(0)}, {TEXT(1)}, {TEXT(2)}, {TEXT(3)}, {TEXT(4)}}, 1},
};

static void arrive(struct segment s)
{
	s.flags = s.flags ? s.flags : ACK;
	s.ack = s.ack ? s.ack : 101;
	s.len = s.len == NO_TEXT ? 0 : s.len ? s.len : 1000;
	conv_rx(&s);
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

static void play(const struct burst_case *c, bool is_burst, struct seen *seen)
{
	long n;

	memset(seen, 0, sizeof(*seen));
	conv_open(&c->opt);
	reserve_owner_limit(conv.stt->rx_pool, (uint16_t)conv.stt->owner, c->limit);
	rx(.flags = ACK, .seq = 901, .ack = 101); /* the window of the SYN|ACK was not scaled */
	send_bytes(1000);
	tx_drain();
	if (is_burst)
		stt_burst_begin(conv.stt);
	for (unsigned i = 0; i < CASE_SEGS; i++)
		arrive(c->segs[i]);
	stt_burst_end(conv.stt);
	seen->info = info();
	seen->charged = charged_to(conv.stt->owner);
	while ((n = stt_tx(conv.stt, seen->sent + seen->sent_bytes, sizeof(seen->sent) - (size_t)seen->sent_bytes)) > 0)
		seen->sent_bytes += n;
	n = stt_recv(conv.stt, conv.id, seen->got, sizeof(seen->got));
	seen->got_bytes = n;
	seen->in_run = stt_run_segs(conv.stt);
	reserve_owner_limit(conv.stt->rx_pool, (uint16_t)conv.stt->owner, 0);
	assert_int_equal(conv_end(NULL), 0);
}

static void tcp_burst_leaves_what_its_segments_one_by_one_would(void **state)
{
	static struct seen alone, together;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		play(&cases[i], false, &alone);
		play(&cases[i], true, &together);
		if (alone.in_run != 0 || together.in_run != cases[i].in_run)
			fail_msg("%s: a run took %lu segments, not %u; of single packets %lu", cases[i].name,
				(unsigned long)together.in_run, cases[i].in_run, (unsigned long)alone.in_run);
		if (alone.got_bytes != together.got_bytes || memcmp(alone.got, together.got, sizeof(alone.got)) != 0)
			fail_msg("%s: %ld bytes were read alone, %ld together", cases[i].name, alone.got_bytes,
				together.got_bytes);
		if (alone.sent_bytes != together.sent_bytes ||
			memcmp(alone.sent, together.sent, sizeof(alone.sent)) != 0)
			fail_msg("%s: another answer", cases[i].name);
		if (alone.charged != together.charged)
			fail_msg("%s: %u mbufs are the connection's alone, %u together", cases[i].name,
				alone.charged, together.charged);
		if (memcmp(&alone.info, &together.info, sizeof(alone.info)) != 0)
			fail_msg("%s: another state", cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.10.7, for a burst */
		conv_test(tcp_burst_leaves_what_its_segments_one_by_one_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
