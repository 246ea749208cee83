/*
 * lossy-wire.c - a wire between two interfaces that delays, loses and reorders
 *
 *     lossy-wire IFACE IFACE [--delay-us N] [--bytes-per-s N] [--queue-bytes N] [--loss-ppm N]
 *                            [--reorder-ppm N] [--seed N]
 *
 * The kernel at hand may have no netem, and both contenders of a comparison must meet the same
 * wire. Frames are taken from either interface by packet sockets and sent out of the other,
 * unchanged. Each direction is a line of a rate with a drop-tail queue, then a fixed delay. Loss is
 * drawn for each frame before the queue; reordering is netem's: a frame that was picked passes the
 * delay by and overtakes what is under way. The dice of a direction are thrown by the frame's
 * number, so a seed means the same losses for everybody. What frames are does not matter, ARP is
 * hit as well.
 *
 * Memory is fixed: a ring of slots a direction, and when it is full the queue is. It says "ready"
 * on stdout, and at SIGTERM one line of counters.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 2048
#define SLOT_COUNT  8192
#define BATCH	    64

struct manners {
	uint64_t delay_us, bytes_per_s, queue_bytes, loss_ppm, reorder_ppm, seed;
};

struct slot {
	uint64_t at_us;
	uint32_t len;
	uint8_t bytes[FRAME_BYTES];
};

/* One direction. */
struct line {
	int in_fd, out_fd;
	uint64_t rnd, free_us; /* the dice; when the last bit of the queue has left */
	uint64_t seen, lost, dropped, reordered;
	uint32_t head, count;
	struct slot slots[SLOT_COUNT];
};

static struct line lines[2];
static volatile sig_atomic_t is_ending;

static void end(int sig)
{
	is_ending = 1;
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "lossy-wire: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* splitmix64, two throws a frame whatever they are used for. */
static bool dice(struct line *l, uint64_t ppm)
{
	uint64_t z = l->rnd += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % 1000000 < ppm;
}

static int packet_socket(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL)), one = 1;
	int bytes = 16 << 20;
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	struct packet_mreq all = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};

	if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)))
		die(name);
	/* A wire does not lose what its reader was too slow for. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static void transmit(struct line *l, const uint8_t *bytes, uint32_t len)
{
	if (send(l->out_fd, bytes, len, 0) < 0)
		l->dropped++;
}

static void take(
	struct line *l, const struct manners *m, const uint8_t *bytes, uint32_t len, uint64_t at_us)
{
	bool is_lost = dice(l, m->loss_ppm), is_early = dice(l, m->reorder_ppm);
	uint64_t start_us = l->free_us > at_us ? l->free_us : at_us;
	struct slot *s;

	l->seen++;
	if (is_lost) {
		l->lost++;
		return;
	}
	if (l->count == SLOT_COUNT ||
		(m->bytes_per_s &&
			(start_us - at_us) * m->bytes_per_s / 1000000 + len > m->queue_bytes)) {
		l->dropped++;
		return;
	}
	if (m->bytes_per_s)
		l->free_us = start_us + len * 1000000ull / m->bytes_per_s;
	if (is_early) {
		l->reordered++;
		transmit(l, bytes, len);
		return;
	}
	s = &l->slots[(l->head + l->count++) % SLOT_COUNT];
	s->at_us = (m->bytes_per_s ? l->free_us : at_us) + m->delay_us;
	s->len = len;
	memcpy(s->bytes, bytes, len);
}

/* What waits in the socket. The arrival is the moment of
 * reading: a late reader delays, as a wire. */
static void receive(struct line *l, const struct manners *m)
{
	static uint8_t bytes[BATCH][FRAME_BYTES];
	struct iovec iov[BATCH];
	struct mmsghdr msgs[BATCH] = {0};
	uint64_t at_us;
	int n;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){.iov_base = bytes[i], .iov_len = FRAME_BYTES};
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(l->in_fd, msgs, BATCH, 0, NULL);
	at_us = now_us();
	for (int i = 0; i < n; i++)
		take(l, m, bytes[i], msgs[i].msg_len, at_us);
}

static void deliver(struct line *l)
{
	while (l->count > 0 && l->slots[l->head].at_us <= now_us()) {
		transmit(l, l->slots[l->head].bytes, l->slots[l->head].len);
		l->head = (l->head + 1) % SLOT_COUNT;
		l->count--;
	}
}

static void wait_for_work(void)
{
	struct pollfd fds[2] = {
		{.fd = lines[0].in_fd, .events = POLLIN}, {.fd = lines[1].in_fd, .events = POLLIN}};
	uint64_t now = now_us(), due = now + 100000, us;
	struct timespec ts;

	for (int i = 0; i < 2; i++)
		if (lines[i].count > 0 && lines[i].slots[lines[i].head].at_us < due)
			due = lines[i].slots[lines[i].head].at_us;
	us = due > now ? due - now : 0;
	ts = (struct timespec){
		.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};
	ppoll(fds, 2, &ts, NULL);
}

static bool parse(int argc, char **argv, struct manners *m)
{
	static const struct option names[] = {
		{"delay-us", required_argument, NULL, 'd'},
		{"bytes-per-s", required_argument, NULL, 'b'},
		{"queue-bytes", required_argument, NULL, 'q'},
		{"loss-ppm", required_argument, NULL, 'l'},
		{"reorder-ppm", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 0;

		if (c == '?')
			return false;
		*(c == 'd'   ? &m->delay_us
			: c == 'b' ? &m->bytes_per_s
			: c == 'q' ? &m->queue_bytes
			: c == 'l' ? &m->loss_ppm
			: c == 'r' ? &m->reorder_ppm
				   : &m->seed) = value;
	}
	return argc - optind == 2;
}

int main(int argc, char **argv)
{
	struct manners m = {.queue_bytes = UINT32_MAX};
	struct sigaction act = {.sa_handler = end};
	int fds[2];

	if (!parse(argc, argv, &m)) {
		fprintf(stderr, "usage: lossy-wire IFACE IFACE [--delay-us N] [--bytes-per-s N] "
				"[--queue-bytes N] [--loss-ppm N] [--reorder-ppm N] [--seed N]\n");
		return 2;
	}
	for (int i = 0; i < 2; i++)
		fds[i] = packet_socket(argv[optind + i]);
	for (int i = 0; i < 2; i++) {
		lines[i].in_fd = fds[i];
		lines[i].out_fd = fds[!i];
		lines[i].rnd = 2 * m.seed + (uint64_t)i;
	}
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	prctl(PR_SET_TIMERSLACK, 1);
	puts("ready");
	fflush(stdout);
	while (!is_ending) {
		wait_for_work();
		for (int i = 0; i < 2; i++) {
			receive(&lines[i], &m);
			deliver(&lines[i]);
		}
	}
	for (int i = 0; i < 2; i++)
		printf("%s: %lu frames, %lu lost, %lu dropped, %lu reordered\n", argv[optind + i],
			lines[i].seen, lines[i].lost, lines[i].dropped, lines[i].reordered);
	return 0;
}
