/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <signal.h>

/**
 * sk_end_signals() - @ret: the signals that end a daemon in good order
 * SIGTERM, SIGINT, and SIGHUP, which comes when its terminal goes; not SIGHUP when the daemon was
 * started with it ignored, as nohup does: blocked, it would be pending all the same. The caller blocks
 * and awaits them. SIGPIPE is ignored from now on: the write fails instead.
 */
void sk_end_signals(sigset_t *ret);
