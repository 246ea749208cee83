/*
 * port_packet_rx.c - frames from a packet socket: a mapped ring, and the socket itself for long
 * ones
 *
 * A frame of a wire's length fits a slot of the ring (TPACKET_V2), where it costs no system call. A
 * longer one, which GRO or a sender on the same host has made, the kernel queues in the socket
 * besides (PACKET_COPY_THRESH), in the order of their slots; it is read from there into a chain of
 * mbufs, by one call for up to 64 KiB. A slot cut short without such a copy (the socket's buffer
 * was full) is a lost frame.
 *
 * A frame for which there is no mbuf stays in its slot and is tried again. So no mbuf rests here;
 * the kernel's memory is the ring and the socket's buffer, both bounded.
 *
 * The queue's worker; the ring is mapped by the control thread. Linux
 * Documentation/networking/packet_mmap.rst.
 */
#include <assert.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/mman.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include "dataplane/port_packet.h"
#include "dataplane/port_packet_impl.h"

#define SLOT_BYTES	PACKET_SLOT_BYTES
#define SLOT_COUNT	PACKET_SLOT_COUNT
#define BLOCK_BYTES	65536u
#define FRAME_BYTES_MAX (RTE_ETHER_HDR_LEN + 65535u)
#define TAG_BYTES	4u
#define MAC_BYTES	12u /* both addresses, which a VLAN tag follows */
#define SEGS_MAX	((FRAME_BYTES_MAX + TAG_BYTES) / MBUF_DATA_BYTES + 1)

static_assert((SLOT_COUNT & (SLOT_COUNT - 1)) == 0, "the index is masked");

int packet_ring_map(struct packet_queue *q)
{
	const struct tpacket_req req = {.tp_block_size = BLOCK_BYTES,
		.tp_block_nr = SLOT_COUNT * SLOT_BYTES / BLOCK_BYTES,
		.tp_frame_size = SLOT_BYTES,
		.tp_frame_nr = SLOT_COUNT};
	const int version = TPACKET_V2, threshold = 1;
	void *ring;

	if (setsockopt(q->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
		setsockopt(q->fd, SOL_PACKET, PACKET_COPY_THRESH, &threshold, sizeof(threshold)) ||
		setsockopt(q->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		return -errno;
	ring = mmap(NULL, SLOT_COUNT * SLOT_BYTES, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE, q->fd, 0);
	if (ring == MAP_FAILED)
		return -errno;
	q->ring = ring;
	return 0;
}

void packet_ring_unmap(struct packet_queue *q)
{
	if (q->ring)
		munmap(q->ring, SLOT_COUNT * SLOT_BYTES);
	q->ring = NULL;
}

/* The next slot with a frame in it; NULL: none. */
static struct tpacket2_hdr *slot_next(const struct packet_queue *q)
{
	struct tpacket2_hdr *slot = (void *)(q->ring + (size_t)q->ring_at * SLOT_BYTES);

	return __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER ? slot : NULL;
}

static void slot_give(struct packet_queue *q, struct tpacket2_hdr *slot)
{
	__atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	q->ring_at = (q->ring_at + 1) & (SLOT_COUNT - 1);
}

/* The VLAN tag that the kernel took out. Out: its bytes, or 0 if there was none. */
static uint32_t tag_of(const struct tpacket2_hdr *slot, uint8_t tag[TAG_BYTES])
{
	uint16_t tpid = slot->tp_status & TP_STATUS_VLAN_TPID_VALID ? slot->tp_vlan_tpid
								    : RTE_ETHER_TYPE_VLAN;

	if (!(slot->tp_status & TP_STATUS_VLAN_VALID))
		return 0;
	tag[0] = (uint8_t)(tpid >> 8);
	tag[1] = (uint8_t)tpid;
	tag[2] = (uint8_t)(slot->tp_vlan_tci >> 8);
	tag[3] = (uint8_t)slot->tp_vlan_tci;
	return TAG_BYTES;
}

static void offload_note(struct rte_mbuf *m, const struct virtio_net_hdr *h)
{
	uint8_t gso = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	/* Unfinished: it never was on a wire. Valid: the NIC or the kernel has looked. */
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	else if (h->flags & VIRTIO_NET_HDR_F_DATA_VALID)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (gso == VIRTIO_NET_HDR_GSO_TCPV4 || gso == VIRTIO_NET_HDR_GSO_TCPV6) {
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
		m->tso_segsz = h->gso_size;
	}
}

/* A chain with room for @bytes and all lengths set; NULL if the pool has not enough. */
static struct rte_mbuf *chain_take(struct packet_queue *q, uint32_t bytes)
{
	uint32_t n = (bytes + MBUF_DATA_BYTES - 1) / MBUF_DATA_BYTES;
	struct rte_mbuf *m[SEGS_MAX];

	assert(n > 0 && n <= SEGS_MAX);
	if (rte_pktmbuf_alloc_bulk(q->pool, m, n)) {
		q->rx_nombuf++;
		return NULL;
	}
	m[0]->pkt_len = bytes;
	m[0]->nb_segs = (uint16_t)n;
	for (uint32_t k = 0; k < n; k++) {
		m[k]->data_len = (uint16_t)RTE_MIN(bytes, MBUF_DATA_BYTES);
		bytes -= m[k]->data_len;
		m[k]->next = k + 1 < n ? m[k + 1] : NULL;
	}
	return m[0];
}

/* Where the bytes of a frame go: around the tag, and into
 * every mbuf of @m. Out: entries of @iov. */
static int frame_lay(struct rte_mbuf *m, const uint8_t *tag, uint32_t tag_bytes, struct iovec *iov)
{
	uint8_t *head = rte_pktmbuf_mtod(m, uint8_t *);
	int n = 0;

	memcpy(head + MAC_BYTES, tag, tag_bytes);
	iov[n++] = (struct iovec){head, MAC_BYTES};
	iov[n++] =
		(struct iovec){head + MAC_BYTES + tag_bytes, m->data_len - MAC_BYTES - tag_bytes};
	for (struct rte_mbuf *s = m->next; s; s = s->next)
		iov[n++] = (struct iovec){rte_pktmbuf_mtod(s, void *), s->data_len};
	return n;
}

/* A frame that lies whole in its slot. */
static void copy_from_slot(const struct tpacket2_hdr *slot, struct rte_mbuf *m)
{
	const uint8_t *bytes = (const uint8_t *)slot + slot->tp_mac;
	struct virtio_net_hdr h;
	struct iovec iov[1 + SEGS_MAX];
	uint8_t tag[TAG_BYTES] = {0};
	int n = frame_lay(m, tag, tag_of(slot, tag), iov);

	for (int i = 0; i < n; i++) {
		memcpy(iov[i].iov_base, bytes, iov[i].iov_len);
		bytes += iov[i].iov_len;
	}
	memcpy(&h, (const uint8_t *)slot + slot->tp_mac - sizeof(h), sizeof(h));
	offload_note(m, &h);
}

/* A long frame, which the socket has: its slots and its queue are in one order. Out: false if it is
 * lost. */
static bool read_from_socket(
	struct packet_queue *q, const struct tpacket2_hdr *slot, struct rte_mbuf *m)
{
	struct virtio_net_hdr h;
	struct iovec iov[2 + SEGS_MAX] = {{&h, sizeof(h)}};
	uint8_t tag[TAG_BYTES] = {0};
	int n = frame_lay(m, tag, tag_of(slot, tag), iov + 1);
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n + 1};

	if (recvmsg(q->fd, &msg, MSG_DONTWAIT) != (ssize_t)(sizeof(h) + slot->tp_len) ||
		(msg.msg_flags & MSG_TRUNC))
		return false;
	offload_note(m, &h);
	return true;
}

/* Not even an Ethernet header, longer than any packet we can take, or cut short. */
static bool is_lost(const struct tpacket2_hdr *slot)
{
	if (slot->tp_len < RTE_ETHER_HDR_LEN || slot->tp_len > FRAME_BYTES_MAX)
		return true;
	return slot->tp_snaplen < slot->tp_len && !(slot->tp_status & TP_STATUS_COPY);
}

/* The socket's copy of a frame that is lost must go too,
 * or it would be taken for the next one's. */
static void frame_drop(struct packet_queue *q, struct tpacket2_hdr *slot)
{
	uint8_t byte;

	if (slot->tp_status & TP_STATUS_COPY)
		(void)!recv(q->fd, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC);
	q->rx_errors++;
	slot_give(q, slot);
}

unsigned port_packet_rx(struct port_packet *p, unsigned qi, struct rte_mbuf **m)
{
	struct packet_queue *q = p->queues[qi];
	struct tpacket2_hdr *slot;
	uint32_t segs = 0;
	unsigned n = 0, looked = 0;

	for (; looked < BURST_MAX && (slot = slot_next(q)); looked++) {
		uint32_t bytes =
			slot->tp_len + (slot->tp_status & TP_STATUS_VLAN_VALID ? TAG_BYTES : 0);

		if (is_lost(slot)) {
			frame_drop(q, slot);
			continue;
		}
		if (n > 0 && segs + bytes / MBUF_DATA_BYTES + 1 > q->mbufs_max)
			break;
		m[n] = chain_take(q, bytes);
		if (!m[n])
			break;
		if (!(slot->tp_status & TP_STATUS_COPY)) {
			copy_from_slot(slot, m[n]);
		} else if (!read_from_socket(q, slot, m[n])) {
			rte_pktmbuf_free(m[n]);
			q->rx_errors++;
			slot_give(q, slot);
			continue;
		}
		q->rx_bytes += bytes;
		segs += m[n++]->nb_segs;
		slot_give(q, slot);
	}
	q->rx_packets += n;
	return n;
}

void port_packet_wait_end(struct port_packet *p, unsigned q)
{
	int error;
	socklen_t len = sizeof(error);

	getsockopt(p->queues[q]->fd, SOL_SOCKET, SO_ERROR, &error, &len);
}
