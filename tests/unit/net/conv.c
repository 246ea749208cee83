/*
 * conv.c - the fixtures of a conversation, and the application behind our end of it
 */
#include "tests/unit/net/conv_impl.h"

#include <stdio.h>
#include <stdlib.h>

struct conv conv;

void conv_begin(const struct options *opt)
{
	struct stt_config cfg = {.size = sizeof(cfg),
		.local_ip4 = htonl(0x0a000001),
		.peer_ip4 = htonl(0x0a000002),
		.seed = 1};

	memset(&conv, 0, sizeof(conv));
	memset(conv_given, 0, sizeof(conv_given));
	conv.opt = *opt;
	conv.opt.mss = opt->mss ? opt->mss : 1000;
	conv.opt.wnd = opt->wnd ? opt->wnd : 60000;
	memcpy(cfg.local_ip6, conv_local6, 16);
	memcpy(cfg.peer_ip6, conv_peer6, 16);
	cfg.mtu = opt->mtu;
	cfg.quota = opt->quota;
	cfg.pool_count = opt->pool ? opt->pool : 2048;
	cfg.disable = opt->disable | (opt->tso ? 0 : STT_NO_TSO) | (opt->ecn ? 0 : STT_NO_ECN);
	if (opt->cc)
		snprintf(cfg.cc, sizeof(cfg.cc), "%s", opt->cc);
	conv.is_cutting = getenv("CONV_TSO") && !opt->tso;
	if (conv.is_cutting)
		cfg.disable &= ~STT_NO_TSO;
	conv_read_reset();
	conv.stt = stt_create(&cfg);
	assert_non_null(conv.stt);
	conv.start_us = stt_now_us(conv.stt);
	conv.peer_edge = PEER_ISS;
}

void connect_now(void)
{
	conv.id = stt_connect(conv.stt, conv.opt.ip6 ? AF_INET6 : AF_INET, LOCAL_PORT, PEER_PORT);
	assert_true(conv.id >= 0);
}

void conv_open(const struct options *opt)
{
	bool ecn;

	conv_begin(opt);
	connect_now();
	assert_true(tx_any());
	assert_int_equal(conv.last.flags & ~(ECE | CWR), SYN);
	ecn = conv.last.flags & ECE;
	if (opt->wscale && conv.last.has_wscale)
		conv.wscale = conv.last.wscale;
	after_ms(opt->rtt_ms);
	rx(.flags = (uint8_t)(SYN | ACK | (ecn ? ECE : 0)), .seq = PEER_ISS, .ack = OUR_ISS + 1,
		.mss = conv.opt.mss, .sack_ok = !opt->no_sack, .has_wscale = opt->wscale,
		.wscale = opt->wscale_value);
	tx(.flags = ACK, .seq = OUR_ISS + 1, .ack = PEER_ISS + 1);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

int conv_end(void **state)
{
	struct stt_info end;

	if (!conv.stt)
		return 0;
	for (int id = 0; id < 64; id++)
		stt_abort(conv.stt, id);
	while (tx_any())
		;
	end = info();
	stt_destroy(conv.stt);
	conv.stt = NULL;
	return end.free_mbufs == end.total_mbufs ? 0 : -1;
}

uint64_t now_ms(void)
{
	return (stt_now_us(conv.stt) - conv.start_us) / 1000;
}

void at_ms(uint64_t ms)
{
	assert_true(ms >= now_ms());
	stt_advance_us(conv.stt, conv.start_us + ms * 1000);
}

void after_ms(uint64_t ms)
{
	at_ms(now_ms() + ms);
}

void send_bytes(uint32_t len)
{
	uint8_t *bytes = malloc(len);

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = pattern(conv.queued + i, true);
	assert_int_equal(stt_send(conv.stt, conv.id, bytes, len), len);
	conv.queued += len;
	free(bytes);
}

void read_bytes(uint32_t len)
{
	uint8_t *bytes = malloc(len);

	assert_int_equal(stt_recv(conv.stt, conv.id, bytes, len), len);
	for (uint32_t i = 0; i < len; i++)
		if (bytes[i] != pattern(conv.read + i, false))
			fail_msg("byte %lu of the peer's stream is wrong",
				(unsigned long)(conv.read + i));
	conv.read += len;
	free(bytes);
}

static long read_one(void)
{
	uint8_t byte;

	return stt_recv(conv.stt, conv.id, &byte, 1);
}

void read_nothing(void)
{
	assert_int_equal(read_one(), -EAGAIN);
}

void read_end(void)
{
	assert_int_equal(read_one(), 0);
}

void read_fails(int err)
{
	assert_int_equal(read_one(), -err);
}

struct stt_info info(void)
{
	struct stt_info i = {.size = sizeof(i)};

	assert_int_equal(stt_info(conv.stt, conv.id, &i), 0);
	return i;
}
