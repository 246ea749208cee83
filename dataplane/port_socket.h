/*
 * port_socket.h - the sockets inside DPDK's af_xdp driver, so that a worker can sleep on them
 */
#ifndef DATAPLANE_PORT_SOCKET_H
#define DATAPLANE_PORT_SOCKET_H

#define PORT_SOCKET_MAX 64 /* of one domain in this process */

struct port_sockets {
	int fds[PORT_SOCKET_MAX];
	unsigned count;
};

/* All sockets of @domain this process has, by ascending number, in *@out. Control thread; cannot
 * fail. */
void port_sockets_list(int domain, struct port_sockets *out);
/* The first that is in @now and not in @before, or -1. */
int port_sockets_added(const struct port_sockets *before, const struct port_sockets *now);

#endif
