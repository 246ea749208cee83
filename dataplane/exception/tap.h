/*
 * tap.h - one queue of a kernel tap interface: frames in and out, with their offload header
 *
 * Plain descriptors; who calls may be put to sleep by the kernel, so no worker does.
 */
#ifndef DATAPLANE_EXCEPTION_TAP_H
#define DATAPLANE_EXCEPTION_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include "config/error.h"

struct rte_mbuf;

struct tap_config {
	const char *iface;
	uint8_t mac[6];
	unsigned queue_count;
};

/*
 * Makes the interface (or joins one that is there) with one descriptor a queue in @fds. Control
 * thread. 0, or -errno with @err: -ENODEV where the kernel has no tap, -EBUSY if the name is taken.
 */
int tap_open(const struct tap_config *cfg, int *fds, struct error *err);

/*
 * Gives the frame @m, which is borrowed, to the kernel, with what its flags and tap_frame_prepare()
 * say of checksum and segment size. 0 or -errno.
 */
int tap_write(int fd, const struct rte_mbuf *m);

/*
 * Reads one frame into the empty mbuf @m. Out: 1; 0 if there is none; -EMSGSIZE for one that does
 * not fit (it is lost); -errno.
 */
int tap_read(int fd, struct rte_mbuf *m);

struct tap_frame {
	uint8_t l4_proto;
	bool is_ip4;
	uint16_t l3_off, l4_off;
	uint32_t end_off;
};

/*
 * Makes @m fit for the kernel: the port may have taken a VLAN tag out, left a checksum half made,
 * or glued segments together. @f is where its headers are. False: it cannot be made right, and must
 * be dropped. Worker; writes @m.
 */
bool tap_frame_prepare(struct rte_mbuf *m, const struct tap_frame *f);

#endif
