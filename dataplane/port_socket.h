/*
 * port_socket.h - the sockets inside DPDK's host drivers, so that a worker can sleep on them
 */
#ifndef DATAPLANE_PORT_SOCKET_H
#define DATAPLANE_PORT_SOCKET_H

#define PORT_SOCKET_MAX 64 /* of one domain in this process */

struct port_sockets {
	int fds[PORT_SOCKET_MAX];
	unsigned count;
};

/*
 * All sockets of @domain this process has, by ascending number; of AF_PACKET only those bound to
 * @iface (NULL: any). Control thread.
 */
void port_sockets_list(int domain, const char *iface, struct port_sockets *out);
/* The first that is in @now and not in @before, or -1. */
int port_sockets_added(const struct port_sockets *before, const struct port_sockets *now);

#endif
