/* SPDX-License-Identifier: Apache-2.0 */

/* A connection to what listens inside a container: its network is entered, so this is for a child only. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/runtime/container/kind.h"

static int enter_network(pid_t pid)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || setns(fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

static int connect_to(int fd, const struct sockaddr *to, socklen_t len, uint64_t deadline_ms)
{
	uint64_t now = sk_mono_ms();
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int r, e = 0;

	if (connect(fd, to, len) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	r = poll(&p, 1, deadline_ms > now ? (int)SK_MIN(deadline_ms - now, 3600000u) : 0);
	if (r <= 0)
		return r == 0 ? -ETIMEDOUT : -errno;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &size) < 0 ? -errno : -e;
}

/* Programs listen on either loopback address. Return: connected socket, or -errno */
static int connect_loopback(uint16_t port, uint64_t deadline_ms)
{
	const struct sockaddr_in v4 = { .sin_family = AF_INET,
					.sin_port = htons(port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
					 .sin6_port = htons(port),
					 .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	_cleanup_close_ int fd = -1, fd6 = -1;
	int r;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? -errno : connect_to(fd, (const struct sockaddr *)&v4, sizeof(v4), deadline_ms);
	if (r == 0)
		return TAKE_FD(fd);
	fd6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd6 >= 0 && connect_to(fd6, (const struct sockaddr *)&v6, sizeof(v6), deadline_ms) == 0)
		return TAKE_FD(fd6);
	return r;
}

int sk_container_dial(const struct sk_runtime_unit *u, uint16_t port, uint64_t deadline_ms,
		      struct sk_err *err)
{
	int fd, r = u->app->network == SK_NETWORK_HOST ? 0 : enter_network(u->pid);

	if (r < 0)
		return sk_err_set(err, r, "io", "cannot enter the capsule's network: %s",
				  strerror(-r));
	fd = connect_loopback(port, deadline_ms);
	if (fd < 0)
		return sk_err_set(err, fd, "unreachable", "cannot connect to port %u: %s", port,
				  strerror(-fd));
	return fd;
}
