/*
 * nbd_uri.h - nbd:// URIs as the NBD URI specification has them
 */
#ifndef CONFIG_NBD_URI_H
#define CONFIG_NBD_URI_H

#include <stdint.h>
#include "config/error.h"
#include "config/limits.h"

#define NBD_PORT_DEFAULT 10809

struct nbd_uri {
	char host[256]; /* name, IPv4, or IPv6 without brackets */
	uint16_t port;	/* host order */
	char export_name[NBD_STRING_BYTES_MAX + 1]; /* percent-decoded */
	char user[256];
	char ignored[128]; /* a sentence on what of the URI has no effect; empty: all has */
};

/*
 * Parses @text: the one parser of the configuration, the control socket and the command line. Out:
 * 0 with *out, or -EINVAL (-ENOMEM) with the reason in @err and *out untouched: no NBD URI, or one
 * that asks for what this client does not do, which is TLS (nbds://, tls-type=…) or another
 * transport than TCP (nbd+unix://, nbd+vsock://, socket=…). Control thread.
 */
int nbd_uri_parse(const char *text, struct nbd_uri *out, struct error *err);

#endif
