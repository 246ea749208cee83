/*
 * tap.c - one queue of a kernel tap interface: frames in and out, with their offload header
 *
 * The door to /dev/net/tun, through which the traffic that is not the storage's reaches the kernel
 * (exception.c drives it, docs/adr/ says why it is not DPDK's tap driver). Each frame is preceded
 * by the offload header of virtio: so a checksum that the NIC's other end left half made, and the
 * long segments that LRO glued together, pass as what they are, as they would from a kernel driver.
 * From the kernel we ask for frames ready for any wire: whole checksums, no longer than the MTU.
 *
 * A write allocates kernel memory, which under pressure may wait for writeback, which may wait for
 * us. So tap_write() and tap_read() are for a thread that no worker waits for; a worker only
 * prepares.
 */
#include "dataplane/exception/tap.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include "config/limits.h"
#include "dataplane/exception/vnet_hdr.h"

#define TUN_FILE "/dev/net/tun"

/* ---- making it ---- */

static int open_failed(int errnum, struct error *err)
{
	if (errnum == ENOENT || errnum == ENODEV || errnum == ENXIO)
		return error_set(err, -ENODEV, "the kernel has no tap interfaces: modprobe tun");
	return error_set(err, -errnum, TUN_FILE ": %s", strerror(errnum));
}

static int queue_open(const struct tap_config *cfg, struct error *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open(TUN_FILE, O_RDWR | O_NONBLOCK | O_CLOEXEC), rc;

	if (fd < 0)
		return open_failed(errno, err);
	if (cfg->queue_count > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", cfg->iface);
	if (ioctl(fd, TUNSETIFF, &ifr) || ioctl(fd, TUNSETOFFLOAD, 0)) {
		rc = -errno;
		close(fd);
		if (rc == -EBUSY || rc == -EINVAL)
			return error_set(err, -EBUSY,
				"another process has the interface %s; end it, or name another "
				"with "
				"`exception_iface`",
				cfg->iface);
		return error_set(err, rc, "tap interface %s: %s", cfg->iface, strerror(-rc));
	}
	return fd;
}

static int mac_set(int fd, const struct tap_config *cfg, struct error *err)
{
	struct ifreq ifr = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", cfg->iface);
	memcpy(ifr.ifr_hwaddr.sa_data, cfg->mac, sizeof(cfg->mac));
	if (ioctl(fd, SIOCSIFHWADDR, &ifr))
		return error_set(err, -errno, "tap interface %s: its MAC cannot be set: %s",
			cfg->iface, strerror(errno));
	return 0;
}

int tap_open(const struct tap_config *cfg, int *fds, struct error *err)
{
	unsigned i;
	int rc = 0;

	assert(cfg->queue_count > 0 && cfg->queue_count <= WORKER_MAX);
	for (i = 0; i < cfg->queue_count; i++) {
		fds[i] = queue_open(cfg, err);
		if (fds[i] < 0) {
			rc = fds[i];
			goto err_fds;
		}
	}
	rc = mac_set(fds[0], cfg, err);
	if (rc)
		goto err_fds;
	return 0;

err_fds:
	while (i > 0)
		close(fds[--i]);
	return rc;
}

/* ---- towards the kernel ---- */

int tap_write(int fd, const struct rte_mbuf *m)
{
	struct virtio_net_hdr h;
	struct iovec iov[1 + EXCEPTION_SEG_MAX];
	int n = 1;

	if (m->nb_segs > EXCEPTION_SEG_MAX)
		return -EMSGSIZE;
	vnet_hdr_fill(&h, m);
	iov[0] = (struct iovec){&h, sizeof(h)};
	for (const struct rte_mbuf *seg = m; seg; seg = seg->next)
		iov[n++] = (struct iovec){rte_pktmbuf_mtod(seg, void *), rte_pktmbuf_data_len(seg)};
	return writev(fd, iov, n) < 0 ? -errno : 0;
}

/* The tag goes back in front of the ethertype; QinQ lost two. */
static bool tags_insert(struct rte_mbuf *m)
{
	uint16_t outer = m->vlan_tci_outer;

	if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) && rte_vlan_insert(&m))
		return false;
	if (!(m->ol_flags & RTE_MBUF_F_RX_QINQ_STRIPPED))
		return true;
	m->vlan_tci = outer;
	if (rte_vlan_insert(&m))
		return false;
	rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type =
		rte_cpu_to_be_16(RTE_ETHER_TYPE_QINQ);
	return true;
}

/* Asks the kernel for the checksum, as a sender asks a NIC. */
static void checksum_ask(struct rte_mbuf *m, const struct tap_frame *f, uint16_t off)
{
	uint8_t *bytes = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t sum =
		vnet_pseudo_sum(bytes + f->l3_off, f->is_ip4, f->l4_proto, f->end_off - f->l4_off);
	bool is_tcp = f->l4_proto == IPPROTO_TCP;

	memcpy(bytes + f->l4_off + off, &sum, sizeof(sum));
	m->l2_len = f->l3_off;
	m->l3_len = (uint16_t)(f->l4_off - f->l3_off);
	m->ol_flags |= is_tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	m->ol_flags |= f->is_ip4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
}

static bool tcp_prepare(struct rte_mbuf *m, const struct tap_frame *f, bool is_lro)
{
	const uint8_t *tcp = rte_pktmbuf_mtod_offset(m, const uint8_t *, f->l4_off);
	uint32_t header = (uint32_t)(tcp[12] >> 4) * 4;

	checksum_ask(m, f, offsetof(struct rte_tcp_hdr, cksum));
	m->l4_len = header;
	if (is_lro && f->l4_off + header + m->tso_segsz < f->end_off)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	return true;
}

static bool udp_prepare(struct rte_mbuf *m, const struct tap_frame *f)
{
	const uint8_t *udp = rte_pktmbuf_mtod_offset(m, const uint8_t *, f->l4_off);

	if (f->is_ip4 && udp[6] == 0 && udp[7] == 0)
		return true; /* sent without one, RFC 768 */
	checksum_ask(m, f, offsetof(struct rte_udp_hdr, dgram_cksum));
	return true;
}

bool tap_frame_prepare(struct rte_mbuf *m, const struct tap_frame *f)
{
	uint64_t rx = m->ol_flags;
	bool is_lro = (rx & RTE_MBUF_F_RX_LRO) && m->tso_segsz;
	bool is_partial = (rx & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;
	struct tap_frame at = *f;
	uint32_t tags;

	m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT | RTE_MBUF_F_RX_VLAN_STRIPPED |
		RTE_MBUF_F_RX_QINQ_STRIPPED;
	tags = m->pkt_len;
	if (!tags_insert(m))
		return false;
	tags = m->pkt_len - tags;
	m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
	if (!is_lro && !is_partial)
		return true;
	at.l3_off = (uint16_t)(at.l3_off + tags);
	at.l4_off = (uint16_t)(at.l4_off + tags);
	at.end_off += tags;
	/* Padding of a short frame is no part of what the sum covers. */
	if (at.end_off < m->pkt_len && rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - at.end_off)))
		return false;
	if (at.l4_proto == IPPROTO_TCP)
		return tcp_prepare(m, &at, is_lro);
	return at.l4_proto == IPPROTO_UDP ? udp_prepare(m, &at) : true;
}

/* ---- from the kernel ---- */

int tap_read(int fd, struct rte_mbuf *m)
{
	struct virtio_net_hdr h;
	uint8_t beyond;
	uint16_t room = rte_pktmbuf_tailroom(m);
	struct iovec iov[3] = {
		{&h, sizeof(h)}, {rte_pktmbuf_mtod(m, void *), room}, {&beyond, sizeof(beyond)}};
	ssize_t n;

	assert(m->nb_segs == 1 && rte_pktmbuf_data_len(m) == 0);
	n = readv(fd, iov, 3);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	n -= (ssize_t)sizeof(h);
	if (n > room)
		return -EMSGSIZE;
	if (n < RTE_ETHER_HDR_LEN)
		return -EIO;
	m->data_len = (uint16_t)n;
	m->pkt_len = (uint32_t)n;
	return 1;
}
