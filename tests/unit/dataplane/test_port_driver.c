/*
 * test_port_driver.c - what single drivers do otherwise than the rest
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <rte_ethdev.h>
#include "dataplane/port_driver.h"

static void offloads_that_vmxnet3_does_wrong_are_left_out(void **state)
{
	uint64_t rx = UINT64_MAX, tx = UINT64_MAX;

	port_driver_trust("net_vmxnet3", &rx, &tx);
	assert_true(rx == ~RTE_ETH_RX_OFFLOAD_TCP_LRO);
	assert_true(tx == ~RTE_ETH_TX_OFFLOAD_TCP_TSO);
	assert_non_null(strstr(port_driver_left_out("net_vmxnet3"), "LRO and TSO"));
}

static void offloads_of_other_drivers_stay(void **state)
{
	const char *const drivers[] = {
		"net_virtio", "net_e1000_em", "net_vmxnet", "net_vmxnet3x", ""};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		uint64_t rx = UINT64_MAX, tx = UINT64_MAX;

		port_driver_trust(drivers[i], &rx, &tx);
		assert_true(rx == UINT64_MAX && tx == UINT64_MAX);
		assert_string_equal(port_driver_left_out(drivers[i]), "");
	}
}

static void rings_that_vmxnet3_fills_are_both_counted(void **state)
{
	assert_int_equal(port_driver_rx_rings("net_vmxnet3"), 2);
	assert_int_equal(port_driver_rx_rings("net_virtio"), 1);
	assert_int_equal(port_driver_rx_rings(""), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offloads_that_vmxnet3_does_wrong_are_left_out),
		cmocka_unit_test(offloads_of_other_drivers_stay),
		cmocka_unit_test(rings_that_vmxnet3_fills_are_both_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
