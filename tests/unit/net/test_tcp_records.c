/*
 * test_tcp_records.c - the send records by themselves: cut, joined, and what happens when none is
 * left
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/net/tcp/tcp_rtx.h"

#define ISS 4294960000u /* the numbers wrap on the way */

static struct tcp_rec recs[TCP_RECORD_MAX];

/* @count records of @bytes each, a microsecond apart. */
static void sent(struct tcp_rtx *rtx, unsigned count, uint32_t bytes)
{
	tcp_rtx_init(rtx, recs, ISS);
	for (unsigned i = 0; i < count; i++) {
		assert_true(tcp_rtx_has_room(rtx));
		tcp_rtx_push(rtx, rtx->end + bytes, 1000 + i);
	}
}

static void sacked(struct tcp_rtx *rtx, uint32_t start, uint32_t end)
{
	struct tcp_seg seg = {.ack = rtx->una, .sack_count = 1, .sack = {{start, end}}};
	struct tcp_delivery d = {.now_us = 5000};

	tcp_rtx_sack(rtx, &seg, ISS, &d);
	assert_int_equal(d.sacked_bytes, end - start);
}

/* The records cover what is in flight without a gap, and
 * the counters are the sums of their flags. */
static void assert_sound(const struct tcp_rtx *rtx)
{
	uint32_t at = rtx->una, lost = 0, resent = 0, sack = 0;
	const struct tcp_rec *rec;

	TAILQ_FOREACH(rec, &rtx->by_seq, by_seq)
	{
		assert_int_equal(rec->seq, at);
		at = rec->end;
		lost += rec->flags & REC_LOST ? rec->end - rec->seq : 0;
		resent += rec->flags & REC_RESENT ? rec->end - rec->seq : 0;
		sack += rec->flags & REC_SACKED ? rec->end - rec->seq : 0;
	}
	assert_int_equal(at, rtx->end);
	assert_int_equal(rtx->lost_bytes, lost);
	assert_int_equal(rtx->resent_bytes, resent);
	assert_int_equal(rtx->sacked_bytes, sack);
}

/* Sends what is lost again in packets of @bytes. Out: how many. */
static unsigned resend_all(struct tcp_rtx *rtx, uint32_t bytes, uint64_t now_us)
{
	struct tcp_rec *rec;
	unsigned packets = 0;

	while ((rec = tcp_rtx_next_lost(rtx))) {
		uint32_t before, n;

		tcp_rtx_spare(rtx);
		rec = tcp_rtx_next_lost(rtx);
		tcp_rtx_join_lost(rtx, rec, bytes);
		n = rec->end - rec->seq < bytes ? rec->end - rec->seq : bytes;
		before = rtx->lost_bytes - rtx->resent_bytes;
		tcp_rtx_resent(rtx, rec, rec->seq + n, now_us);
		assert_int_equal(rtx->lost_bytes - rtx->resent_bytes, before - n);
		packets++;
	}
	assert_sound(rtx);
	return packets;
}

static void records_cut_again_and_again_are_sent_in_full_packets(void **state)
{
	struct tcp_rtx rtx;

	sent(&rtx, 10, 1460);
	for (uint32_t i = 1; i <= 10; i++) {
		tcp_rtx_mark_all_lost(&rtx);
		assert_int_equal(resend_all(&rtx, 1460 - i, 9000 + i), 11);
	}
	assert_int_equal(tcp_rtx_flight(&rtx), 14600);
}

/* The rest of a record that could not be cut was never sent, and is not counted as if it were. */
static void records_without_a_spare_are_not_booked_as_sent(void **state)
{
	struct tcp_rtx rtx;
	unsigned count = TCP_RECORD_MAX - TCP_RECORD_SPARE;

	sent(&rtx, count, 3000);
	for (unsigned i = 0; i < TCP_RECORD_SPARE / 2; i++)
		sacked(&rtx, ISS + 6000 * i + 1000, ISS + 6000 * i + 2000);
	assert_int_equal(rtx.free_count, 0);
	tcp_rtx_mark_all_lost(&rtx);
	assert_true(resend_all(&rtx, 1000, 9000) >= (count * 3 - TCP_RECORD_SPARE / 2) / 2);
	assert_int_equal(rtx.lost_bytes, count * 3000 - rtx.sacked_bytes);
}

/* Every other one is SACKed: nothing can be joined before the SACKs are forgotten. */
static void records_that_cannot_be_joined_forget_the_sacks(void **state)
{
	struct tcp_rtx rtx;
	unsigned count = TCP_RECORD_MAX - TCP_RECORD_SPARE;

	sent(&rtx, count, 1000);
	for (unsigned i = 1; i < count; i += 2)
		sacked(&rtx, ISS + 1000 * i, ISS + 1000 * i + 1000);
	for (unsigned i = 0; i < TCP_RECORD_SPARE; i += 2)
		sacked(&rtx, ISS + 2000 * i + 300, ISS + 2000 * i + 600);
	assert_int_equal(rtx.free_count, 0);
	tcp_rtx_mark_all_lost(&rtx);
	tcp_rtx_spare(&rtx);
	assert_true(rtx.free_count > 0);
	assert_int_equal(rtx.sacked_bytes, 0);
	assert_int_equal(rtx.lost_bytes, count * 1000);
	assert_sound(&rtx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_cut_again_and_again_are_sent_in_full_packets),
		cmocka_unit_test(records_without_a_spare_are_not_booked_as_sent),
		cmocka_unit_test(records_that_cannot_be_joined_forget_the_sacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
