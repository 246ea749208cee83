/*
 * test_tcp_long.c - connections that carried more than half of the sequence space
 *
 * Sequence numbers are compared by their signed distance, so one that is remembered for 2 GiB
 * without being moved lies ahead of everything. The bytes really pass, 64 KiB a packet, unread.
 */
#include "tests/unit/net/conv.h"

#include <stdlib.h>

#define PIECE_BYTES 60000u

static uint8_t packet[65600];

/* Sends zeroes and acknowledges each packet until @bytes
 * have passed. Out: the next script number. */
static uint32_t carry(uint64_t bytes)
{
	static const uint8_t zeroes[PIECE_BYTES];
	uint64_t acked = 0;
	long n;

	while (acked < bytes) {
		assert_int_equal(stt_send(conv.stt, conv.id, zeroes, PIECE_BYTES), PIECE_BYTES);
		conv.queued += PIECE_BYTES;
		while ((n = stt_tx(conv.stt, packet, sizeof(packet))) > 0) {
			acked += (uint64_t)n - 40;
			rx(.flags = ACK, .seq = 901, .ack = 101 + (uint32_t)acked);
		}
	}
	assert_int_equal(acked, conv.queued);
	return 101 + (uint32_t)acked;
}

/* RFC 6582 3.2: the third duplicate ACK retransmits at once, not the timer after 200 ms. */
static void first_loss_after(uint64_t bytes)
{
	uint32_t at;

	open_with(.no_sack = true, .tso = true, .rtt_ms = 1);
	at = carry(bytes);
	after_ms(1);
	send_bytes(4000);
	tx(.flags = ACK, .seq = at, .len = 4000);
	after_ms(1);
	for (int i = 0; i < 3; i++)
		rx(.flags = ACK, .seq = 901, .ack = at);
	tx(.flags = ACK, .seq = at, .len = 1000);
}

static void tcp_first_loss_after_a_short_while_is_repaired_at_once(void **state)
{
	first_loss_after(10 * PIECE_BYTES);
}

static void tcp_first_loss_after_two_gibibytes_is_repaired_at_once(void **state)
{
	first_loss_after((1ull << 31) + (1u << 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 6582 3.2: the recovery point */
		conv_test(tcp_first_loss_after_a_short_while_is_repaired_at_once),
		conv_test(tcp_first_loss_after_two_gibibytes_is_repaired_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
