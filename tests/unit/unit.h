/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every unit test includes first: cmocka and the headers that it wants before itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* cmocka 1 has one for all numbers, which cmocka 2 deprecates. */
#ifndef assert_uint_in_range
#define assert_uint_in_range(value, minimum, maximum) assert_in_range(value, minimum, maximum)
#endif
