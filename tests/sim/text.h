/*
 * text.h - what flows in a simulated connection: byte @off of stream @key is a function of both
 *
 * Nobody stores what was sent: any piece can be made again, and any piece can be checked alone.
 */
#ifndef SIM_TEXT_H
#define SIM_TEXT_H

#include <stddef.h>
#include <stdint.h>

void text_fill(uint64_t key, uint64_t off, uint8_t *out, size_t len);

/* Out: index of the first byte that is not the stream's, or @len. */
size_t text_diff(uint64_t key, uint64_t off, const uint8_t *bytes, size_t len);

#endif
