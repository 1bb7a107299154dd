/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

enum sk_log_level {
	SK_LOG_ERR = 3,
	SK_LOG_WARNING = 4,
	SK_LOG_NOTICE = 5,
	SK_LOG_INFO = 6,
	SK_LOG_DEBUG = 7,
};

/**
 * Log to standard error, one line each. Under a journal (JOURNAL_STREAM set) lines carry the
 * "<N>" priority prefix of sd-daemon(3); elsewhere a UTC time and the program's name.
 * Code outside the L2 folders logs at SK_LOG_DEBUG only.
 */
void sk_log_open(const char *program, enum sk_log_level max_level);
void sk_log(enum sk_log_level level, const char *fmt, ...) SK_PRINTF(2, 3);

#define sk_error(...)	sk_log(SK_LOG_ERR, __VA_ARGS__)
#define sk_warning(...) sk_log(SK_LOG_WARNING, __VA_ARGS__)
#define sk_notice(...)	sk_log(SK_LOG_NOTICE, __VA_ARGS__)
#define sk_info(...)	sk_log(SK_LOG_INFO, __VA_ARGS__)
#define sk_debug(...)	sk_log(SK_LOG_DEBUG, __VA_ARGS__)
