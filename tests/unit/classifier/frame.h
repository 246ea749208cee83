/*
 * frame.h - builds frames header by header, with the lengths the test wants in them
 *
 * Each function appends; the lengths of IP are filled in by frame_end() unless the test spoils them
 * afterwards. Addresses: the remote is 10.0.0.2 or fd00::2, we are 10.0.0.1 or fd00::1.
 */
#ifndef TESTS_UNIT_CLASSIFIER_FRAME_H
#define TESTS_UNIT_CLASSIFIER_FRAME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "classifier/classifier.h"

#define RPORT 10809
#define LPORT 40000

static const uint8_t us4[16] = {10, 0, 0, 1}, peer4[16] = {10, 0, 0, 2}, other4[16] = {10, 0, 0, 9};
static const uint8_t us6[16] = {0xfd, [15] = 1}, peer6[16] = {0xfd, [15] = 2},
		     other6[16] = {0xfd, [15] = 9};

struct frame {
	uint8_t bytes[4096];
	uint32_t len;
	uint32_t ip_off;     /* of the IP header, 0: none */
	uint32_t header_end; /* where the last header a parse must see ends */
};

static inline uint8_t *put(struct frame *f, const void *bytes, uint32_t n)
{
	uint8_t *p = f->bytes + f->len;

	assert_true(f->len + n <= sizeof(f->bytes));
	if (bytes)
		memcpy(p, bytes, n);
	else
		memset(p, 0, n);
	f->len += n;
	f->header_end = f->len;
	return p;
}

static inline void set16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put_eth(struct frame *f, unsigned type)
{
	uint8_t *p;

	f->len = f->ip_off = 0;
	p = put(f, NULL, 14);
	p[0] = p[6] = 2;
	p[5] = 1;
	p[11] = 2;
	set16(p + 12, type);
}

/* Turns the type in front into @tpid; @type follows the tag. */
static inline void put_tag(struct frame *f, unsigned tpid, unsigned tci, unsigned type)
{
	uint8_t *p = put(f, NULL, 4);

	set16(p - 2, tpid);
	set16(p, tci);
	set16(p + 2, type);
}

/* @frag: flags and offset as on the wire. @opt_bytes: a multiple of four. */
static inline void put_ip4_from(
	struct frame *f, const uint8_t *src, unsigned proto, unsigned frag, unsigned opt_bytes)
{
	uint8_t *p;

	f->ip_off = f->len;
	p = put(f, NULL, 20 + opt_bytes);
	p[0] = (uint8_t)(0x40 | (20 + opt_bytes) / 4);
	set16(p + 6, frag);
	p[8] = 64;
	p[9] = (uint8_t)proto;
	memcpy(p + 12, src, 4);
	memcpy(p + 16, us4, 4);
	memset(p + 20, 1, opt_bytes);
}

static inline void put_ip4(struct frame *f, unsigned proto, unsigned frag, unsigned opt_bytes)
{
	put_ip4_from(f, peer4, proto, frag, opt_bytes);
}

static inline void put_ip6_from(struct frame *f, const uint8_t *src, unsigned next)
{
	uint8_t *p;

	f->ip_off = f->len;
	p = put(f, NULL, 40);
	p[0] = 0x60;
	p[6] = (uint8_t)next;
	p[7] = 255;
	memcpy(p + 8, src, 16);
	memcpy(p + 24, us6, 16);
}

static inline void put_ip6(struct frame *f, unsigned next)
{
	put_ip6_from(f, peer6, next);
}

static inline void put_ext(struct frame *f, unsigned next, unsigned bytes)
{
	uint8_t *p = put(f, NULL, bytes);

	p[0] = (uint8_t)next;
	p[1] = (uint8_t)(bytes / 8 - 1);
}

static inline void put_frag6(struct frame *f, unsigned next, unsigned offset, bool more)
{
	uint8_t *p = put(f, NULL, 8);

	p[0] = (uint8_t)next;
	set16(p + 2, offset | more);
}

static inline void put_tcp(struct frame *f, unsigned sport, unsigned dport, unsigned opt_bytes)
{
	uint8_t *p = put(f, NULL, 20 + opt_bytes);

	set16(p, sport);
	set16(p + 2, dport);
	p[12] = (uint8_t)((20 + opt_bytes) / 4 << 4);
}

static inline void put_udp(struct frame *f, unsigned sport, unsigned dport, unsigned payload)
{
	uint8_t *p = put(f, NULL, 8);

	set16(p, sport);
	set16(p + 2, dport);
	set16(p + 4, 8 + payload);
}

static inline void put_payload(struct frame *f, unsigned n)
{
	uint32_t end = f->header_end;

	memset(put(f, NULL, n), 0xab, n);
	f->header_end = end;
}

static inline void put_arp(struct frame *f, unsigned op, const uint8_t *spa, const uint8_t *tpa)
{
	static const uint8_t fixed[6] = {0, 1, 8, 0, 6, 4};
	uint8_t *p = put(f, NULL, 28);

	memcpy(p, fixed, 6);
	set16(p + 6, op);
	memcpy(p + 14, spa, 4);
	memcpy(p + 24, tpa, 4);
}

/* Writes the IP length now that the end is known. */
static inline void frame_end(struct frame *f)
{
	if (!f->ip_off)
		return;
	if (f->bytes[f->ip_off] >> 4 == 4)
		set16(f->bytes + f->ip_off + 2, f->len - f->ip_off);
	else
		set16(f->bytes + f->ip_off + 4, f->len - f->ip_off - 40);
}

static inline struct pkt_info parse(const struct frame *f)
{
	struct pkt_info info;

	classify_parse(f->bytes, f->len, f->len, &info);
	return info;
}

#endif
