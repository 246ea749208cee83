/*
 * test_config_value.c - numbers, sizes, times, addresses and near words by themselves
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "config/config_item.h"
#include "config/config_nearest.h"
#include "config/config_section.h"

static void counts_are_read_to_the_last_digit(void **state)
{
	uint64_t n = 7;

	assert_int_equal(item_count_parse("0", 0, 10, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(item_count_parse("0x1F", 0, 100, &n, NULL), 0);
	assert_int_equal(n, 31);
	assert_int_equal(item_count_parse("18446744073709551615", 0, UINT64_MAX, &n, NULL), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(
		item_count_parse("18446744073709551616", 0, UINT64_MAX, &n, NULL), -EINVAL);
	assert_int_equal(item_count_parse("", 0, 10, &n, NULL), -EINVAL);
	assert_int_equal(item_count_parse(" 1", 0, 10, &n, NULL), -EINVAL);
	assert_int_equal(item_count_parse("+1", 0, 10, &n, NULL), -EINVAL);
	assert_int_equal(item_count_parse("1 ", 0, 10, &n, NULL), -EINVAL);
	assert_int_equal(item_count_parse("0x", 0, 10, &n, NULL), -EINVAL);
	assert_true(n == UINT64_MAX);
}

static void sizes_and_times_need_their_unit(void **state)
{
	uint64_t n = 0;

	assert_int_equal(item_size_parse("4k", 0, UINT64_MAX, &n, NULL), 0);
	assert_int_equal(n, 4096);
	assert_int_equal(item_size_parse("1G", 0, UINT64_MAX, &n, NULL), 0);
	assert_int_equal(n, 1 << 30);
	assert_int_equal(item_size_parse("0", 0, UINT64_MAX, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(item_size_parse("4kb", 0, UINT64_MAX, &n, NULL), -EINVAL);
	assert_int_equal(item_size_parse("4 k", 0, UINT64_MAX, &n, NULL), -EINVAL);
	assert_int_equal(item_size_parse("k", 0, UINT64_MAX, &n, NULL), -EINVAL);
	assert_int_equal(item_time_parse("250ms", 0, UINT64_MAX, &n, NULL), 0);
	assert_int_equal(n, 250);
	assert_int_equal(item_time_parse("2h", 0, UINT64_MAX, &n, NULL), 0);
	assert_int_equal(n, 7200000);
	assert_int_equal(item_time_parse("2M", 0, UINT64_MAX, &n, NULL), -EINVAL);
	assert_int_equal(item_time_parse("2", 0, UINT64_MAX, &n, NULL), -EINVAL);
}

static void cidrs_are_read_or_left_alone(void **state)
{
	uint8_t family = 99, bits = 99, addr[16], want[16] = {0};

	assert_int_equal(config_cidr_parse("10.1.2.3/24", &family, addr, &bits), 0);
	assert_int_equal(family, AF_INET);
	assert_int_equal(bits, 24);
	inet_pton(AF_INET, "10.1.2.3", want);
	assert_memory_equal(addr, want, 16);
	assert_int_equal(config_cidr_parse("fd00::2/64", &family, addr, &bits), 0);
	assert_int_equal(family, AF_INET6);
	assert_int_equal(bits, 64);
	assert_int_equal(config_cidr_parse("1.2.3.4/0", &family, addr, &bits), 0);
	assert_int_equal(bits, 0);
	bits = 99;
	memset(addr, 0xaa, sizeof(addr));
	assert_int_equal(config_cidr_parse("1.2.3.4/33", &family, addr, &bits), -EINVAL);
	assert_int_equal(config_cidr_parse("1.2.3.4", &family, addr, &bits), -EINVAL);
	assert_int_equal(config_cidr_parse("/24", &family, addr, &bits), -EINVAL);
	assert_int_equal(config_cidr_parse("1.2.3.4/2 ", &family, addr, &bits), -EINVAL);
	assert_int_equal(config_cidr_parse("fd00::/1290", &family, addr, &bits), -EINVAL);
	assert_int_equal(bits, 99);
	assert_int_equal(addr[0], 0xaa);
}

static void overlong_cidr_is_no_address(void **state)
{
	uint8_t family, bits, addr[16];
	char text[256];

	memset(text, '1', sizeof(text));
	strcpy(text + 200, "/24");
	assert_int_equal(config_cidr_parse(text, &family, addr, &bits), -EINVAL);
}

static void networks_compare_by_their_prefix(void **state)
{
	const uint8_t a[16] = {10, 0, 0xff, 2}, b[16] = {10, 0, 0xf0, 1}, c[16] = {10, 0, 0xef, 1};

	assert_true(config_ip_within(a, b, 20));
	assert_false(config_ip_within(a, c, 20));
	assert_true(config_ip_within(a, c, 0));
	assert_true(config_ip_within(a, b, 16));
	assert_false(config_ip_within(a, b, 32));
	assert_true(config_ip_within(a, a, 128));
}

static void pci_addresses_take_one_form(void **state)
{
	char out[16] = "untouched";

	assert_int_equal(config_pci_parse("00:03", out), -EINVAL);
	assert_int_equal(config_pci_parse("", out), -EINVAL);
	assert_int_equal(config_pci_parse("0000:00:03.0 ", out), -EINVAL);
	assert_int_equal(config_pci_parse("0000/00:03.0", out), -EINVAL);
	assert_string_equal(out, "untouched");
	assert_int_equal(config_pci_parse("AB:1F.7", out), 0);
	assert_string_equal(out, "0000:ab:1f.7");
}

static void near_words_are_found_and_far_ones_not(void **state)
{
	static const char *const words[] = {"address", "gateway", "mtu", "device", NULL};
	const size_t stride = sizeof(*words);

	assert_string_equal(config_nearest("adress", words, stride), "address");
	assert_string_equal(config_nearest("addr", words, stride), "address");
	assert_string_equal(config_nearest("gatewya", words, stride), "gateway");
	assert_string_equal(config_nearest("mut", words, stride), "mtu");
	assert_string_equal(config_nearest("devices", words, stride), "device");
	assert_null(config_nearest("colour", words, stride));
	assert_null(config_nearest("", words, stride));
	assert_null(config_nearest("a-word-longer-than-any-key-there-is", words, stride));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_are_read_to_the_last_digit),
		cmocka_unit_test(sizes_and_times_need_their_unit),
		cmocka_unit_test(cidrs_are_read_or_left_alone),
		cmocka_unit_test(overlong_cidr_is_no_address),
		cmocka_unit_test(networks_compare_by_their_prefix),
		cmocka_unit_test(pci_addresses_take_one_form),
		cmocka_unit_test(near_words_are_found_and_far_ones_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
