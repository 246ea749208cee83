/*
 * udp_flood.c - packets nobody asked for, at a rate and for as long as a file exists
 *
 *	udp_flood --to=ADDRESS --rate=PACKETS --bytes=N --while=FILE [--limit=S] [--port=N]
 *
 * Sends --rate datagrams of --bytes each second to one address. It waits until FILE appears, and
 * stops when FILE is gone or after --limit seconds of sending; so the machine under test says when,
 * by a directory it shares. Each start and end is a line on stdout, with the rate that was reached:
 * a flood that could not be sent proves nothing. Ends when its parent does.
 *
 * Sent in batches of what each millisecond owes, by one system call; a batch the socket refuses
 * (its queue is full) is lost like a packet on a wire. Where the way out allows, a batch goes
 * through the kernel's stack as one and is cut behind it (UDP_SEGMENT): the machine that makes the
 * flood is often the one that runs what is flooded, and has better use for its processors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MAX  32
#define BYTES_MAX  65000
#define WAIT_MS	   50
#define LATE_MS_MAX 100 /* what is owed for longer than this is not made up for */

struct options {
	struct sockaddr_in to;
	const char *file;
	uint64_t rate;
	unsigned bytes, limit_s;
};

struct way {
	int fd;
	bool cuts; /* one send is cut into datagrams by the kernel */
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void pause_us(unsigned us)
{
	const struct timespec ts = {.tv_nsec = (long)us * 1000};

	nanosleep(&ts, NULL);
}

/* One datagram after the other. Out: how many of @n were sent. */
static unsigned each_send(
	const struct way *way, const struct options *opt, const struct msghdr *one, unsigned n)
{
	struct mmsghdr msgs[BATCH_MAX];
	struct iovec iov = {.iov_base = one->msg_iov->iov_base, .iov_len = opt->bytes};
	int sent;

	for (unsigned i = 0; i < n; i++) {
		msgs[i] = (struct mmsghdr){.msg_hdr = *one};
		msgs[i].msg_hdr.msg_iov = &iov;
	}
	sent = sendmmsg(way->fd, msgs, n, MSG_DONTWAIT);
	return sent > 0 ? (unsigned)sent : 0;
}

/* Out: how many of @n were sent. */
static unsigned batch_send(struct way *way, const struct options *opt, unsigned n)
{
	static uint8_t payload[BYTES_MAX];
	struct iovec iov = {.iov_base = payload, .iov_len = (size_t)n * opt->bytes};
	const struct msghdr msg = {.msg_name = (void *)(uintptr_t)&opt->to,
		.msg_namelen = sizeof(opt->to),
		.msg_iov = &iov,
		.msg_iovlen = 1};
	const int off = 0;

	if (way->cuts) {
		if (sendmsg(way->fd, &msg, MSG_DONTWAIT) >= 0)
			return n;
		if (errno != EIO)
			return 0;
		/* A device that does no checksums is not trusted with it. */
		setsockopt(way->fd, SOL_UDP, UDP_SEGMENT, &off, sizeof(off));
		way->cuts = false;
	}
	return each_send(way, opt, &msg, n);
}

static unsigned batch_max(const struct way *way, const struct options *opt)
{
	unsigned fit = BYTES_MAX / opt->bytes;

	return way->cuts && fit < BATCH_MAX ? fit : BATCH_MAX;
}

static void flood(struct way *way, const struct options *opt)
{
	uint64_t start = clock_us(), now = start, tried = 0, sent = 0, owed,
		 late = opt->rate * LATE_MS_MAX / 1000;
	unsigned batch;

	printf("flood %s begins\n", opt->file);
	fflush(stdout);
	while (access(opt->file, F_OK) == 0 && now - start < opt->limit_s * 1000000ull) {
		now = clock_us();
		owed = (now - start) * opt->rate / 1000000;
		if (owed > tried + late)
			tried = owed - late;
		while (tried < owed) {
			batch = batch_max(way, opt);
			batch = owed - tried < batch ? (unsigned)(owed - tried) : batch;
			sent += batch_send(way, opt, batch);
			tried += batch;
		}
		pause_us(1000);
	}
	now = clock_us() - start;
	printf("flood %s ends: %llu packets of %u bytes, %llu a second\n", opt->file,
		(unsigned long long)sent, opt->bytes,
		(unsigned long long)(now ? sent * 1000000 / now : 0));
	fflush(stdout);
}

static bool options_read(int argc, char **argv, struct options *opt)
{
	static const struct option names[] = {{"to", required_argument, NULL, 't'},
		{"rate", required_argument, NULL, 'r'}, {"bytes", required_argument, NULL, 'b'},
		{"while", required_argument, NULL, 'w'}, {"limit", required_argument, NULL, 'l'},
		{"port", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
	int c;

	*opt = (struct options){
		.to = {.sin_family = AF_INET, .sin_port = htons(9)}, .limit_s = 600};
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 't' && inet_pton(AF_INET, optarg, &opt->to.sin_addr) != 1)
			return false;
		if (c == 'r')
			opt->rate = strtoull(optarg, NULL, 10);
		else if (c == 'b')
			opt->bytes = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'w')
			opt->file = optarg;
		else if (c == 'l')
			opt->limit_s = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'p')
			opt->to.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
		else if (c != 't')
			return false;
	}
	return opt->to.sin_addr.s_addr && opt->file && opt->rate > 0 && opt->bytes > 0 &&
	       opt->bytes <= BYTES_MAX;
}

int main(int argc, char **argv)
{
	struct options opt;
	struct way way;
	int bytes;

	if (!options_read(argc, argv, &opt)) {
		fprintf(stderr, "usage: udp_flood --to=ADDRESS --rate=PACKETS --bytes=N "
				"--while=FILE [--limit=S] [--port=N]\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	way.fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (way.fd < 0) {
		fprintf(stderr, "udp_flood: socket: %s\n", strerror(errno));
		return 1;
	}
	bytes = (int)opt.bytes;
	way.cuts = setsockopt(way.fd, SOL_UDP, UDP_SEGMENT, &bytes, sizeof(bytes)) == 0;
	for (;;) { /* until killed */
		if (access(opt.file, F_OK) == 0) {
			flood(&way, &opt);
			while (access(opt.file, F_OK) == 0)
				pause_us(WAIT_MS * 1000);
		}
		pause_us(WAIT_MS * 1000);
	}
}
