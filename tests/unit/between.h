/* between.h - assert_between(), for cmocka 1 and 2: the latter deprecates the range assertions that
 * the former has */
#ifndef TESTS_UNIT_BETWEEN_H
#define TESTS_UNIT_BETWEEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * Fails the test unless @low <= @value <= @high, all three as uintmax_t: a negative number is a
 * large one. Each is evaluated once. The message has the expression and the three numbers.
 */
#define assert_between(value, low, high)                                                           \
	do {                                                                                       \
		const uintmax_t between_value = (uintmax_t)(value),                                \
				between_low = (uintmax_t)(low), between_high = (uintmax_t)(high);  \
		if (between_value < between_low || between_value > between_high)                   \
			fail_msg("%s is %ju, not from %ju to %ju", #value, between_value,          \
				between_low, between_high);                                        \
	} while (0)

#endif
