/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/config.h"
#include "base/conf.h"
#include "base/file.h"
#include "engine/config.h"
#include "hub/core/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_daemon(const char *text)
{
	struct sk_daemon_config c = { 0 };
	struct sk_err err = SK_ERR_INIT;

	if (sk_daemon_config_init(&c) == 0 && sk_daemon_config_parse(&c, "fuzz", text, &err) == 0 &&
	    (!c.state_dir || !c.runtime))
		abort();
	sk_daemon_config_done(&c);
}

static void fuzz_hub(char *text)
{
	struct sk_hub_config c = { 0 };
	struct sk_err err = SK_ERR_INIT;

	sk_hub_config_defaults(&c);
	(void)sk_conf_parse("fuzz", text, sk_hub_config_set, &c, &err);
}

/* The agent reads a file: one in memory. */
static void fuzz_agent(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("conf", MFD_CLOEXEC);
	struct sk_agent_config c = { 0 };
	struct sk_err err = SK_ERR_INIT;
	char path[32];

	if (fd < 0 || sk_fd_write(fd, data, size) < 0)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (sk_agent_config_load(path, &c, &err) == 0) {
		if (!c.hub || !c.state_dir || c.retry_min_ms > c.retry_max_ms)
			abort();
		sk_agent_config_done(&c);
	}
}

/* Any bytes as the settings of each of the three daemons. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);

	if (!text)
		return 0;
	fuzz_daemon(text);
	fuzz_agent(data, size);
	fuzz_hub(text);
	return 0;
}
