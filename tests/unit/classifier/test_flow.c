/*
 * test_flow.c - the flow table against a plain list
 */
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/classifier/frame.h"

#define FLOWS 500u

static struct flow_key key_of(unsigned n)
{
	struct flow_key key = {.family = n % 3 ? AF_INET : AF_INET6, .proto = IPPROTO_TCP};

	memcpy(key.local, n % 3 ? us4 : us6, 16);
	memcpy(key.remote, n % 3 ? peer4 : peer6, 16);
	key.remote[2] = (uint8_t)(n % 7);
	key.remote_port_be = htons(RPORT);
	key.local_port_be = htons((uint16_t)(LPORT + n));
	return key;
}

static int setup(void **state)
{
	*state = classifier_create(FLOWS, 1);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	classifier_destroy(*state);
	return 0;
}

static void flow_is_found_by_all_of_its_key(void **state)
{
	struct classifier *c = *state;
	struct flow_key key = key_of(1), near;

	assert_int_equal(flow_lookup(c, &key), FLOW_NONE);
	assert_int_equal(flow_insert(c, &key, 77), 0);
	assert_int_equal(flow_lookup(c, &key), 77);
	for (unsigned byte = 2; byte < sizeof(key); byte++) {
		near = key;
		((uint8_t *)&near)[byte] ^= 1;
		/* The unused bytes of IPv4 addresses do not count. */
		if ((byte >= 10 && byte < 22) || byte >= 26)
			assert_int_equal(flow_lookup(c, &near), 77);
		else
			assert_int_equal(flow_lookup(c, &near), FLOW_NONE);
	}
	near = key;
	near.family = AF_INET6;
	assert_int_equal(flow_lookup(c, &near), FLOW_NONE);
}

static void flow_ipv6_is_found_by_all_of_its_key(void **state)
{
	struct classifier *c = *state;
	struct flow_key key = key_of(3), near;

	assert_int_equal(flow_insert(c, &key, 5), 0);
	for (unsigned byte = 2; byte < sizeof(key); byte++) {
		near = key;
		((uint8_t *)&near)[byte] ^= 0x80;
		assert_int_equal(flow_lookup(c, &near), FLOW_NONE);
	}
	assert_int_equal(flow_lookup(c, &key), 5);
}

static void flow_insert_refuses_doubles_and_too_many(void **state)
{
	struct classifier *c = *state;
	struct flow_key key;

	for (unsigned n = 0; n < FLOWS; n++) {
		key = key_of(n);
		assert_int_equal(flow_insert(c, &key, n), 0);
	}
	assert_int_equal(flow_insert(c, &key, 9), -EEXIST);
	assert_int_equal(flow_lookup(c, &key), FLOWS - 1);
	key = key_of(FLOWS);
	assert_int_equal(flow_insert(c, &key, 9), -ENOSPC);
	assert_int_equal(flow_count(c), FLOWS);
	assert_int_equal(flow_remove(c, &key), -ENOENT);
	key = key_of(0);
	assert_int_equal(flow_remove(c, &key), 0);
	key = key_of(FLOWS);
	assert_int_equal(flow_insert(c, &key, 9), 0);
}

/* A seeded walk; the model is an array with one place for each key. */
static void flow_table_agrees_with_a_list(void **state)
{
	static uint32_t model[2 * FLOWS];
	struct classifier *c = *state;
	uint32_t live = 0;
	unsigned seed = 20060808;

	for (unsigned n = 0; n < 2 * FLOWS; n++)
		model[n] = FLOW_NONE;
	for (uint32_t step = 0; step < 200000; step++) {
		unsigned n = (unsigned)rand_r(&seed) % (2 * FLOWS);
		struct flow_key key = key_of(n);

		assert_int_equal(flow_lookup(c, &key), model[n]);
		if (rand_r(&seed) % 2) {
			int want = model[n] != FLOW_NONE ? -EEXIST : live == FLOWS ? -ENOSPC : 0;

			assert_int_equal(flow_insert(c, &key, step), want);
			if (want == 0) {
				model[n] = step;
				live++;
			}
		} else {
			assert_int_equal(flow_remove(c, &key), model[n] == FLOW_NONE ? -ENOENT : 0);
			live -= model[n] != FLOW_NONE;
			model[n] = FLOW_NONE;
		}
		assert_int_equal(flow_count(c), live);
	}
	for (unsigned n = 0; n < 2 * FLOWS; n++) {
		struct flow_key key = key_of(n);

		assert_int_equal(flow_lookup(c, &key), model[n]);
	}
}

static void classifier_destroy_accepts_null(void **state)
{
	classifier_destroy(NULL);
}

#define table_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		table_test(flow_is_found_by_all_of_its_key),
		table_test(flow_ipv6_is_found_by_all_of_its_key),
		table_test(flow_insert_refuses_doubles_and_too_many),
		table_test(flow_table_agrees_with_a_list),
		cmocka_unit_test(classifier_destroy_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
