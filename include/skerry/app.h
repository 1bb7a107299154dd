/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SKERRY_APP_H
#define SKERRY_APP_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * libskerry: what a program may ask about the capsule it runs in, and how it logs.
 *
 * Link with `pkg-config --cflags --libs libskerry`. All functions may be called from any thread.
 */

/**
 * sk_app_name() - name of this app in the device's manifest
 *
 * Return: a string that lives as long as the process; NULL outside a capsule
 */
const char *sk_app_name(void);

/** Severities of syslog(3); the capsule's log keeps them. */
enum sk_app_severity {
	SK_APP_ERROR = 3,
	SK_APP_WARNING = 4,
	SK_APP_NOTICE = 5,
	SK_APP_INFO = 6,
	SK_APP_DEBUG = 7,
};

/**
 * sk_app_log() - write one line to the capsule's log
 * @severity: one of enum sk_app_severity
 * @fmt:      printf format; control characters in the result become blanks, and it is cut at 4 KiB
 *
 * The line goes to standard error in one piece, with the "<N>" prefix of sd-daemon(3).
 *
 * Return: 0, or a negative errno of write(2)
 */
int sk_app_log(enum sk_app_severity severity, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
