/*
 * port_socket.c - finds the sockets that DPDK's af_xdp driver receives on
 *
 * af_xdp offers no RX interrupt in DPDK 22.11, so an idle worker could only nap and look. But what
 * it receives on is a socket of this process, and polling a socket shows that a packet arrived,
 * whichever way it is then taken out of the ring. The driver keeps the descriptor to itself; what
 * a process has open can be listed, though, and a socket's domain can be read. We only wait on it
 * and neither read nor close it.
 *
 * Where none is found the worker naps as before: nothing here may fail.
 */
#include "dataplane/port_socket.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

static bool is_wanted(int fd, int domain)
{
	socklen_t len = sizeof(int);
	int found = -1;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &found, &len) == 0 && found == domain;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void port_sockets_list(int domain, struct port_sockets *out)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	out->count = 0;
	if (!dir)
		return;
	while (out->count < PORT_SOCKET_MAX && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name); /* "." and ".." become 0, which is no such socket */

		if (is_wanted(fd, domain))
			out->fds[out->count++] = fd;
	}
	closedir(dir);
	qsort(out->fds, out->count, sizeof(out->fds[0]), by_number);
}

int port_sockets_added(const struct port_sockets *before, const struct port_sockets *now)
{
	for (unsigned i = 0; i < now->count; i++) {
		bool is_old = false;

		for (unsigned k = 0; k < before->count && !is_old; k++)
			is_old = before->fds[k] == now->fds[i];
		if (!is_old)
			return now->fds[i];
	}
	return -1;
}
