/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Preloaded into podman's crun (start.py): raising RLIMIT_MEMLOCK never fails. crun 1.8 raises it for the
 * device filter, needs CAP_SYS_RESOURCE for that, and gives up without, though kernels since 5.11
 * count a filter's memory elsewhere.
 */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	if (syscall(SYS_prlimit64, 0, resource, limit, NULL) == 0)
		return 0;
	return resource == RLIMIT_MEMLOCK && errno == EPERM ? 0 : -1;
}

int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	return setrlimit(resource, (const struct rlimit *)limit);
}
