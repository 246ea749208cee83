/*
 * stream_socket.h - stream.h over kernel sockets, for tests without DPDK
 */
#ifndef TESTS_NET_STREAM_SOCKET_H
#define TESTS_NET_STREAM_SOCKET_H

#include "dataplane/net/stream.h"

struct net *net_socket_create(void);
void net_socket_destroy(struct net *net);

/* Moves bytes both ways on every stream; waits up to @timeout_ms for something to do. */
void net_socket_turn(struct net *net, int timeout_ms);

#endif
