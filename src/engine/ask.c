/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

/* One request with an answer of one line does not need an HTTP library in the daemon's memory. */
#define REQUEST \
	"POST /skerry/v1/halt HTTP/1.1\r\nHost: skerry\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define DONE "HTTP/1.1 204 "

static int reach(const char *path, struct sk_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return sk_err_set(err, -ENAMETOOLONG, "bad-value", "the socket's path is too long");
	memcpy(addr.sun_path, path, strlen(path));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return sk_err_set(err, -errno, "unreachable", "no skerryd answers on %s: %s", path,
				  strerror(errno));
	return TAKE_FD(fd);
}

int sk_ask_halt(const char *socket, struct sk_err *err)
{
	_cleanup_close_ int fd = reach(socket, err);
	char answer[256];
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		return fd;
	if (send(fd, REQUEST, strlen(REQUEST), MSG_NOSIGNAL) != (ssize_t)strlen(REQUEST))
		return sk_err_set(err, -errno, "io", "skerryd does not listen: %s",
				  strerror(errno));
	while (n < sizeof(answer) - 1 && (got = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0)
		n += (size_t)got;
	answer[n] = '\0';
	if (sk_str_starts(answer, DONE))
		return 0;
	answer[strcspn(answer, "\r\n")] = '\0';
	return sk_err_set(err, -EIO, "io", "skerryd did not stop the capsules: %s",
			  answer[0] ? answer : "it went away");
}
