/*
 * check.h - cmocka with its headers in the order it wants them
 */
#ifndef TESTS_UNIT_NBD_CLIENT_CHECK_H
#define TESTS_UNIT_NBD_CLIENT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define assert_has(text, part) assert_non_null(strstr((text), (part)))

#endif
