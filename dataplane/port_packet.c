/*
 * port_packet.c - a port on packet sockets of the kernel: af_packet
 *
 * The kernel does not hand a packet socket what was on a wire. GRO has merged segments into frames
 * of up to 64 KiB; a sender on the same host (a veth's peer, another virtual machine) leaves
 * segments uncut and checksums unfinished, since no card needs them. PACKET_VNET_HDR puts virtio's
 * offload header in front of each frame, which says both, and takes the same for what we send. So
 * frames of any length pass whole, an unfinished checksum is known as such and not guessed, and
 * nothing of the interface is changed. DPDK's driver has no such header and cuts frames to its
 * ring's slots (docs/adr/0019-a-packet-socket-of-our-own.md).
 *
 * A port has one socket a queue. Here they are made and closed, by the control thread, and frames
 * are sent, by the queue's worker: one sendmmsg() a burst, which copies, so no mbuf waits for the
 * kernel. Receiving is port_packet_rx.c's.
 */
#include "dataplane/port_packet.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include "config/host/host.h"
#include "dataplane/port.h"
#include "dataplane/port_packet_impl.h"
#include "dataplane/exception/vnet_hdr.h"

/* Of long frames the kernel keeps for us, and of ours it has not sent. */
#define SOCKET_BYTES (4 << 20)
#define TSO_BYTES_MAX 60000u

/* ---- making it ---- */

static int option_set(int fd, int name, int value)
{
	return setsockopt(fd, SOL_PACKET, name, &value, sizeof(value)) ? -errno : 0;
}

/* An interface's fact by ioctl @request; *@ifr names it. */
static int iface_ask(int fd, const char *iface, unsigned long request, struct ifreq *ifr)
{
	*ifr = (struct ifreq){0};
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", iface);
	return ioctl(fd, request, ifr) ? -errno : 0;
}

static int iface_read(struct port_packet *p, int fd, const struct config_port *cfg,
	struct port_facts *f, struct error *err)
{
	struct ifreq ifr;
	int rc = iface_ask(fd, p->iface, SIOCGIFHWADDR, &ifr);

	if (rc)
		return error_set(err, rc,
			"port %s: interface %s: %s; `ip link` lists those there are", cfg->name,
			p->iface, strerror(-rc));
	if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return error_set(err, -EPROTOTYPE,
			"port %s: %s is not an Ethernet interface (its type is %u), and af_packet "
			"needs one",
			cfg->name, p->iface, ifr.ifr_hwaddr.sa_family);
	memcpy(f->mac, ifr.ifr_hwaddr.sa_data, sizeof(f->mac));
	p->index = (int)if_nametoindex(p->iface);
	return p->index ? 0
			: error_set(err, -ENODEV, "port %s: there is no interface %s", cfg->name,
				  p->iface);
}

static int queue_options_set(struct packet_queue *q)
{
	int bytes = SOCKET_BYTES, rc = option_set(q->fd, PACKET_VNET_HDR, 1);

	/*
	 * Before Linux 4.20 we see what the kernel itself sends, which costs time and is of no use.
	 */
	option_set(q->fd, PACKET_IGNORE_OUTGOING, 1);
	setsockopt(q->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(q->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return rc ? rc : packet_ring_map(q);
}

static void queue_free(struct packet_queue *q)
{
	if (!q)
		return;
	packet_ring_unmap(q);
	if (q->fd >= 0)
		close(q->fd);
	free(q);
}

/* NULL with errno. */
static struct packet_queue *queue_make(void)
{
	struct packet_queue *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return NULL;
	/* Protocol 0: nothing is received before it is bound to one. */
	q->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = q->fd < 0 ? -errno : queue_options_set(q);
	if (rc) {
		queue_free(q);
		errno = -rc;
		return NULL;
	}
	for (unsigned i = 0; i < BURST_MAX; i++)
		q->tx_msg[i].msg_hdr = (struct msghdr){.msg_iov = q->tx_iov[i]};
	return q;
}

static void facts_tell(struct port_facts *f)
{
	snprintf(f->driver, sizeof(f->driver), "af_packet");
	snprintf(f->flow_rules, sizeof(f->flow_rules),
		"in software: the port is a packet socket, which marks no flows");
	f->offload = (struct net_offload){.tx_tcp_csum = true,
		.tx_tso = true,
		.rx_csum = true,
		.tx_seg_max = TX_CHAIN_MAX,
		.tso_bytes_max = TSO_BYTES_MAX};
	f->has_lro = true;
}

int port_packet_open(const struct config_port *cfg, unsigned queues, struct port_facts *f,
	struct port_packet **out, struct error *err)
{
	struct port_packet *p = calloc(1, sizeof(*p));
	int rc = -ENOMEM;

	assert(queues > 0 && queues <= WORKER_MAX);
	if (!p)
		return error_set(err, -ENOMEM, "out of memory");
	snprintf(p->iface, sizeof(p->iface), "%.15s", cfg->device);
	for (unsigned i = 0; i < queues; i++) {
		p->queues[i] = queue_make();
		if (!p->queues[i]) {
			rc = error_set(err, -errno, "port %s: packet socket: %s", cfg->name,
				strerror(errno));
			goto err_close;
		}
		p->queue_count++;
	}
	rc = iface_read(p, p->queues[0]->fd, cfg, f, err);
	if (!rc && cfg->mtu)
		rc = host_iface_mtu_set(p->iface, cfg->mtu, err);
	if (rc)
		goto err_close;
	facts_tell(f);
	f->socket_bytes = (uint32_t)(queues * (PACKET_SLOT_BYTES * PACKET_SLOT_COUNT +
						      sizeof(struct packet_queue)));
	*out = p;
	return 0;

err_close:
	port_packet_close(p);
	return rc;
}

void port_packet_queue_setup(
	struct port_packet *p, unsigned q, struct rte_mempool *pool, uint32_t mbufs_max)
{
	p->queues[q]->pool = pool;
	p->queues[q]->mbufs_max = mbufs_max;
}

/* The sockets of one interface share its packets by their
 * hash; fragments by their addresses alone. */
static int fanout_join(struct port_packet *p, unsigned q, int *group)
{
	int value = (PACKET_FANOUT_HASH << 16) | *group, rc;
	socklen_t len = sizeof(value);

	if (q == 0)
		value = (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16;
	rc = option_set(p->queues[q]->fd, PACKET_FANOUT, value);
	if (!rc && q == 0 && getsockopt(p->queues[q]->fd, SOL_PACKET, PACKET_FANOUT, &value, &len))
		rc = -errno;
	if (!rc && q == 0)
		*group = value & UINT16_MAX;
	return rc;
}

/* Groups of the kernel's and of ours (neighbour
 * discovery) reach the NIC; undone with the socket. */
static void multicast_join(const struct port_packet *p)
{
	const struct packet_mreq all = {.mr_ifindex = p->index, .mr_type = PACKET_MR_ALLMULTI};

	setsockopt(p->queues[0]->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all));
}

int port_packet_start(struct port_packet *p, struct error *err)
{
	const struct sockaddr_ll addr = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = p->index};
	int group = 0, rc = 0;

	for (unsigned q = 0; !rc && q < p->queue_count; q++) {
		if (bind(p->queues[q]->fd, (const struct sockaddr *)&addr, sizeof(addr)))
			rc = -errno;
		if (!rc && p->queue_count > 1)
			rc = fanout_join(p, q, &group);
	}
	if (rc)
		return error_set(err, rc, "%s: its packets cannot be received on %u queue(s): %s%s",
			p->iface, p->queue_count, strerror(-rc),
			port_packet_link_up(p) ? "" : "; ip link set it up first");
	multicast_join(p);
	return 0;
}

void port_packet_close(struct port_packet *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->queue_count; i++)
		queue_free(p->queues[i]);
	free(p);
}

bool port_packet_link_up(const struct port_packet *p)
{
	struct ifreq ifr;

	return iface_ask(p->queues[0]->fd, p->iface, SIOCGIFFLAGS, &ifr) == 0 &&
	       (ifr.ifr_flags & IFF_UP) && (ifr.ifr_flags & IFF_RUNNING);
}

void port_packet_stats(const struct port_packet *p, struct port_stats *out)
{
	struct port_packet *mine =
		(struct port_packet *)(uintptr_t)p; /* the kernel's counter is kept here */

	*out = (struct port_stats){0};
	for (unsigned i = 0; i < p->queue_count; i++) {
		const struct packet_queue *q = p->queues[i];
		struct tpacket_stats kernel = {0};
		socklen_t len = sizeof(kernel);

		if (getsockopt(q->fd, SOL_PACKET, PACKET_STATISTICS, &kernel, &len) == 0)
			mine->missed += kernel.tp_drops;
		out->rx_packets += q->rx_packets;
		out->tx_packets += q->tx_packets;
		out->rx_bytes += q->rx_bytes;
		out->tx_bytes += q->tx_bytes;
		out->rx_errors += q->rx_errors;
		out->tx_errors += q->tx_errors;
		out->rx_nombuf += q->rx_nombuf;
	}
	out->rx_missed = p->missed;
}

int port_packet_fd(const struct port_packet *p, unsigned q)
{
	return p->queues[q]->fd;
}

/* ---- sending ---- */

/* With TSO the stack leaves the length out of the pseudo header, as cards want it; the kernel wants
 * it in. */
static void tso_sum_set(struct rte_mbuf *m)
{
	uint8_t *l3 = rte_pktmbuf_mtod_offset(m, uint8_t *, m->l2_len);
	uint32_t l4_bytes = m->pkt_len - m->l2_len - m->l3_len;
	uint16_t sum = vnet_pseudo_sum(l3, m->ol_flags & RTE_MBUF_F_TX_IPV4, IPPROTO_TCP, l4_bytes);

	memcpy(l3 + m->l3_len + offsetof(struct rte_tcp_hdr, cksum), &sum, sizeof(sum));
}

static void frame_lay(struct packet_queue *q, unsigned i, struct rte_mbuf *m)
{
	struct iovec *iov = q->tx_iov[i];
	unsigned n = 0;

	assert(m->nb_segs <= TX_CHAIN_MAX);
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
		tso_sum_set(m);
	vnet_hdr_fill(&q->tx_hdr[i], m);
	iov[n++] = (struct iovec){&q->tx_hdr[i], sizeof(q->tx_hdr[i])};
	for (struct rte_mbuf *seg = m; seg; seg = seg->next)
		iov[n++] = (struct iovec){rte_pktmbuf_mtod(seg, void *), rte_pktmbuf_data_len(seg)};
	q->tx_msg[i].msg_hdr.msg_iovlen = n;
}

static void sent(struct packet_queue *q, struct rte_mbuf **m, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		q->tx_bytes += m[i]->pkt_len;
		rte_pktmbuf_free(m[i]);
	}
	q->tx_packets += n;
}

unsigned port_packet_tx(struct port_packet *p, unsigned qi, struct rte_mbuf **m, unsigned n)
{
	struct packet_queue *q = p->queues[qi];
	unsigned done = 0;

	assert(n <= BURST_MAX);
	for (unsigned i = 0; i < n; i++)
		frame_lay(q, i, m[i]);
	while (done < n) {
		int rc = sendmmsg(q->fd, q->tx_msg + done, n - done, MSG_DONTWAIT);

		if (rc > 0) {
			sent(q, m + done, (unsigned)rc);
			done += (unsigned)rc;
		} else if (errno == EAGAIN || errno == EINTR) {
			break;
		} else {
			q->tx_errors++;
			rte_pktmbuf_free(m[done++]);
		}
	}
	return done;
}
