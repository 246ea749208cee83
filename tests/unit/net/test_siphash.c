/*
 * test_siphash.c - the published vectors of SipHash-2-4 (key 00..0f, message 00..n-1)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "dataplane/net/tcp/siphash.h"

static void siphash_matches_the_published_vectors(void **state)
{
	/* From the reference implementation's table, as little-endian bytes read into words. */
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{0, 0x726fdb47dd0e0e31ull},
		{1, 0x74f839c593dc67fdull},
		{7, 0xab0200f58b01d137ull},
		{8, 0x93f5f5799a932462ull},
		{15, 0xa129ca6149be45e5ull},
		{63, 0x958a324ceb064572ull},
	};
	uint8_t key[16], message[64];

	for (unsigned i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	for (unsigned i = 0; i < 64; i++)
		message[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_int_equal(siphash(key, message, vectors[i].len), vectors[i].hash);
}

static void siphash_depends_on_every_byte_of_the_key(void **state)
{
	uint8_t key[16] = {0};
	uint64_t first = siphash(key, "tuple", 5);

	for (unsigned i = 0; i < 16; i++) {
		key[i] ^= 1;
		assert_int_not_equal(siphash(key, "tuple", 5), first);
		key[i] ^= 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_matches_the_published_vectors),
		cmocka_unit_test(siphash_depends_on_every_byte_of_the_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
