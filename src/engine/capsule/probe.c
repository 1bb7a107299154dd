/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capsule/probe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

#define ANSWER_MAX 512 /* the status line is all that counts */

static int probe_wait(int fd, short events, uint64_t deadline_ms)
{
	uint64_t now = sk_mono_ms();
	struct pollfd p = { .fd = fd, .events = events };
	int r = poll(&p, 1, deadline_ms > now ? (int)SK_MIN(deadline_ms - now, 3600000u) : 0);

	return r > 0 ? 0 : r == 0 ? -ETIMEDOUT : -errno;
}

int sk_probe_http_status(const char *answer)
{
	if (!sk_str_starts(answer, "HTTP/1.") || strlen(answer) < 12 || answer[8] != ' ')
		return -1;
	for (int i = 9; i < 12; i++)
		if (answer[i] < '0' || answer[i] > '9')
			return -1;
	if (answer[12] >= '0' && answer[12] <= '9')
		return -1;
	return (answer[9] - '0') * 100 + (answer[10] - '0') * 10 + (answer[11] - '0');
}

static int send_request(int fd, const struct sk_probe *p)
{
	_cleanup_free_ char *text = sk_asprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
						"User-Agent: skerry-health\r\nAccept: */*\r\n"
						"Connection: close\r\n\r\n",
						p->http_path ? p->http_path : "/", p->port);
	ssize_t n = text ? send(fd, text, strlen(text), MSG_NOSIGNAL) : -1;

	return !text ? -ENOMEM : n < 0 ? -errno : (size_t)n < strlen(text) ? -EMSGSIZE : 0;
}

/* Until the status line is there. Return: status, or -errno */
static int read_status(int fd, uint64_t deadline_ms)
{
	char answer[ANSWER_MAX + 1];
	size_t len = 0;

	while (len < ANSWER_MAX) {
		ssize_t n;
		int r = probe_wait(fd, POLLIN, deadline_ms);

		if (r < 0)
			return r;
		n = recv(fd, answer + len, ANSWER_MAX - len, 0);
		if (n < 0)
			return -errno;
		len += (size_t)n;
		answer[len] = '\0';
		if (n == 0 || memchr(answer, '\n', len))
			break;
	}
	answer[len] = '\0';
	return len ? sk_probe_http_status(answer) : -ENODATA;
}

static int ask(const struct sk_probe *p, int fd, uint64_t deadline_ms)
{
	int r = send_request(fd, p), status;

	status = r < 0 ? r : read_status(fd, deadline_ms);
	if (status < -1) {
		printf("no answer to GET %s: %s\n", p->http_path, strerror(-status));
		return 1;
	}
	if (status < 0)
		printf("the answer to GET %s is not HTTP\n", p->http_path);
	else
		printf("GET %s: status %d\n", p->http_path, status);
	return status >= 200 && status < 400 ? 0 : 1;
}

int sk_probe_run(void *probe)
{
	const struct sk_probe *p = probe;
	uint64_t deadline = sk_mono_ms() + p->timeout_ms;
	struct sk_err err = SK_ERR_INIT;
	_cleanup_close_ int fd = p->unit->kind->ops->dial(p->unit, p->port, deadline, &err);

	if (fd < 0) {
		printf("%s\n", err.text);
		return 1;
	}
	if (p->kind == SK_HEALTH_HTTP)
		return ask(p, fd, deadline);
	printf("port %u is open\n", p->port);
	return 0;
}
