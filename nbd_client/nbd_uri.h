/*
 * nbd_uri.h - nbd:// URIs as the NBD URI specification has them
 */
#ifndef NBD_CLIENT_NBD_URI_H
#define NBD_CLIENT_NBD_URI_H

#include <stdbool.h>
#include <stdint.h>
#include "config/error.h"
#include "config/limits.h"

#define NBD_PORT_DEFAULT 10809

struct nbd_uri {
	bool is_tls;
	char host[256]; /* name, IPv4, or IPv6 without brackets */
	uint16_t port;
	char export_name[NBD_STRING_BYTES_MAX + 1]; /* percent-decoded */
	char user[256];
};

/*
 * Parses @text. Out: 0, or -EINVAL with the reason in @err (nbd+unix is refused: a Unix socket has
 * no packets to protect; nbds until TLS is there).
 */
int nbd_uri_parse(const char *text, struct nbd_uri *out, struct error *err);

#endif
