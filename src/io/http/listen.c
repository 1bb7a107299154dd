/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/str.h"
#include "io/http/server.h"

#define BACKLOG 512

static int listen_fail(struct sk_err *err, int code, const char *what)
{
	return sk_err_set(err, code, code == -EADDRINUSE ? "in-use" : "io",
			  "cannot listen on %s: %s", what, strerror(-code));
}

static int bind_unix(int fd, const char *path, mode_t mode, gid_t gid)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	(void)unlink(path);
	/* Mode 0600 from bind() on, so that nobody connects before chmod() and chown(). */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	if (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0)
		return -errno;
	if (chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int sk_http_listen_unix(const char *path, mode_t mode, gid_t gid, int *ret_fd, struct sk_err *err)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	_cleanup_free_ char *tmp = sk_asprintf("%s.new", path);
	int r;

	if (fd < 0)
		return listen_fail(err, -errno, path);
	if (!tmp)
		return sk_err_oom(err);
	/* Renamed over the old one, so that there is always a socket to connect to. */
	r = bind_unix(fd, tmp, mode, gid);
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(tmp);
		return listen_fail(err, r, path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* "host:port" or "[v6]:port"; numeric only: a name server has no say in where we listen. */
static int parse_address(const char *address, struct addrinfo **ret)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;
	char host[64];

	if (len == 0 || len >= sizeof(host) || colon[1] == '\0')
		return -EINVAL;
	if (address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	(void)snprintf(host, sizeof(host), "%.*s", (int)len, address);
	return getaddrinfo(host, colon + 1, &hints, ret) == 0 ? 0 : -EINVAL;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);

	(void)getsockname(fd, (struct sockaddr *)&a, &len);
	if (a.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

int sk_http_listen_tcp(const char *address, int *ret_fd, uint16_t *ret_port, struct sk_err *err)
{
	_cleanup_close_ int fd = -1;
	struct addrinfo *ai;
	int one = 1, r = 0;

	if (parse_address(address, &ai) < 0)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "\"%s\" is no address to listen on; write 127.0.0.1:8443 or "
				  "[::1]:8443",
				  address);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		r = -errno;
	freeaddrinfo(ai);
	if (r < 0)
		return listen_fail(err, r, address);
	if (ret_port)
		*ret_port = port_of(fd);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
