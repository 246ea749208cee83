/*
 * siphash.h - a keyed hash of a few dozen bytes (SipHash-2-4, Aumasson and Bernstein 2012)
 *
 * Makes what a blind attacker must not guess: initial sequence numbers (RFC 6528), local ports
 * (RFC 6056) and timestamp offsets (RFC 7323 5.4). Pure.
 */
#ifndef DATAPLANE_NET_TCP_SIPHASH_H
#define DATAPLANE_NET_TCP_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t len);

#endif
