/*
 * stt_tun.c - our TCP in real time against the kernel's, over a TUN interface
 *
 * Works like a client of nc: connects, sends what comes in on standard input, writes what arrives
 * to standard output, closes when the input ends. The interface is created by whoever calls (ip
 * tuntap add), the kernel's end of it is the server. For debugging and for the loss tables: what
 * runs is the product's stack behind the test ABI, driven by the real clock.
 *
 *     stt-tun IFACE LOCAL PEER PORT [cc]       environment: STT_DISABLE=bits, STT_QUOTA=mbufs,
 * STT_MTU
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "tests/abi/sluice_tcp_test.h"

#define PACKET_BYTES 65536
#define IO_BYTES     (256 * 1024)
#define BATCH	     64

struct tun {
	struct stt *stt;
	int fd, conn;
	uint64_t base_us; /* virtual minus real */
	bool input_ended, output_ended, is_dead;
	uint8_t pending[IO_BYTES];
	size_t pending_at, pending_len;
};

static uint64_t real_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint32_t env_number(const char *name, uint32_t otherwise)
{
	const char *value = getenv(name);

	return value ? (uint32_t)strtoul(value, NULL, 0) : otherwise;
}

static int tun_open(const char *name)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr)) {
		fprintf(stderr, "stt-tun: %s: %s\n", name, strerror(errno));
		return -1;
	}
	return fd;
}

static void from_tun(struct tun *t)
{
	static uint8_t packet[PACKET_BYTES];

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = read(t->fd, packet, sizeof(packet));

		if (n <= 0)
			return;
		stt_rx(t->stt, packet, (size_t)n);
	}
}

static void to_tun(struct tun *t)
{
	static uint8_t packet[PACKET_BYTES];
	long n;

	while ((n = stt_tx(t->stt, packet, sizeof(packet))) > 0)
		if (write(t->fd, packet, (size_t)n) < 0 && errno != EAGAIN && errno != ENOBUFS)
			perror("stt-tun: write to the interface");
}

static void pump_in(struct tun *t)
{
	while (!t->input_ended) {
		long n;

		if (t->pending_len == 0) {
			ssize_t got = read(STDIN_FILENO, t->pending, sizeof(t->pending));

			if (got < 0)
				return;
			if (got == 0) {
				t->input_ended = true;
				stt_shutdown(t->stt, t->conn);
				return;
			}
			t->pending_at = 0;
			t->pending_len = (size_t)got;
		}
		n = stt_send(t->stt, t->conn, t->pending + t->pending_at, t->pending_len);
		if (n < 0)
			return;
		t->pending_at += (size_t)n;
		t->pending_len -= (size_t)n;
	}
}

static void pump_out(struct tun *t)
{
	static uint8_t bytes[IO_BYTES];
	long n;

	while (!t->output_ended &&
		(n = stt_recv(t->stt, t->conn, bytes, sizeof(bytes))) != -EAGAIN) {
		if (n > 0) {
			if (write(STDOUT_FILENO, bytes, (size_t)n) != n)
				exit(1);
			continue;
		}
		t->output_ended = true;
		if (n < 0) {
			fprintf(stderr, "stt-tun: %s\n", strerror((int)-n));
			t->is_dead = true;
		}
	}
}

static bool is_done(struct tun *t)
{
	struct stt_info info = {0};

	if (t->is_dead)
		return true;
	if (!t->input_ended || !t->output_ended)
		return false;
	stt_info(t->stt, t->conn, &info);
	return info.state == STT_TIME_WAIT || info.state == STT_CLOSED;
}

static void wait_for_work(struct tun *t, bool is_connected)
{
	struct pollfd fds[2] = {
		{.fd = t->fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
	uint64_t due_us = stt_deadline_us(t->stt), now_us = stt_now_us(t->stt);
	int ms = due_us == UINT64_MAX ? -1 : (int)((due_us - now_us + 999) / 1000);

	poll(fds, is_connected && !t->input_ended && t->pending_len == 0 ? 2 : 1, ms);
}

static void report(struct tun *t)
{
	struct stt_info info = {0};

	stt_info(t->stt, t->conn, &info);
	fprintf(stderr,
		"stt-tun: sent %lu received %lu retrans %u srtt %u us cwnd %u ssthresh %u held %u "
		"free %u/%u\n",
		info.bytes_acked, info.bytes_received, info.retrans_segs, info.srtt_us,
		info.cwnd_bytes, info.ssthresh_bytes, info.held_mbufs, info.free_mbufs,
		info.total_mbufs);
}

int main(int argc, char **argv)
{
	static struct tun t;
	struct stt_config cfg = {.size = sizeof(cfg), .seed = real_us()};
	int family = AF_INET;

	if (argc < 5) {
		fprintf(stderr, "usage: stt-tun IFACE LOCAL PEER PORT [cc]\n");
		return 2;
	}
	if (inet_pton(AF_INET, argv[2], &cfg.local_ip4) != 1) {
		family = AF_INET6;
		inet_pton(AF_INET6, argv[2], cfg.local_ip6);
		inet_pton(AF_INET6, argv[3], cfg.peer_ip6);
	} else {
		inet_pton(AF_INET, argv[3], &cfg.peer_ip4);
	}
	cfg.disable = env_number("STT_DISABLE", STT_NO_TSO);
	cfg.quota = env_number("STT_QUOTA", 2048);
	cfg.mtu = (uint16_t)env_number("STT_MTU", 1500);
	cfg.pool_count = 8192;
	if (argc > 5)
		snprintf(cfg.cc, sizeof(cfg.cc), "%s", argv[5]);
	t.fd = tun_open(argv[1]);
	t.stt = stt_create(&cfg);
	if (t.fd < 0 || !t.stt)
		return 1;
	t.base_us = stt_now_us(t.stt) - real_us();
	t.conn = stt_connect(t.stt, family, 0, (uint16_t)atoi(argv[4]));
	fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
	while (!is_done(&t)) {
		struct stt_info info = {0};

		stt_advance_us(t.stt, real_us() + t.base_us);
		from_tun(&t);
		stt_info(t.stt, t.conn, &info);
		pump_out(&t);
		if (info.state >= STT_ESTABLISHED)
			pump_in(&t);
		to_tun(&t);
		wait_for_work(&t, info.state >= STT_ESTABLISHED);
	}
	to_tun(&t);
	report(&t);
	stt_destroy(t.stt);
	return t.is_dead;
}
