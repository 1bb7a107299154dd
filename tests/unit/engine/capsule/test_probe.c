/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/capsule/probe.h"
#include "engine/runtime/container/container.h"

static void status_lines(void **state)
{
	assert_int_equal(sk_probe_http_status("HTTP/1.1 200 OK\r\n"), 200);
	assert_int_equal(sk_probe_http_status("HTTP/1.0 404"), 404);
	assert_int_equal(sk_probe_http_status("HTTP/1.1 301\r\n"), 301);
	assert_int_equal(sk_probe_http_status(""), -1);
	assert_int_equal(sk_probe_http_status("HTTP/1.1"), -1);
	assert_int_equal(sk_probe_http_status("HTTP/1.1 2000 OK"), -1);
	assert_int_equal(sk_probe_http_status("HTTP/1.1 2x0 OK"), -1);
	assert_int_equal(sk_probe_http_status("SSH-2.0-OpenSSH_9.2p1"), -1);
	assert_int_equal(sk_probe_http_status("HTTP/1.1\t200 OK"), -1);
}

/* A container in the network of this process */
static const struct sk_runtime kind_here = { .ops = &sk_container_ops };
static const struct sk_app app_here = { .network = SK_NETWORK_HOST };

/* A child that accepts once and answers with @text (NULL: nothing, and stays open) */
static pid_t serve(const char *text, uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	pid_t pid;

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	pid = fork();
	if (pid == 0) {
		int c = accept(fd, NULL, NULL);
		char request[1024];

		if (!text)
			(void)pause();
		(void)!read(c, request, sizeof(request));
		(void)!write(c, text, strlen(text));
		_exit(0);
	}
	(void)close(fd);
	return pid;
}

static int ask(enum sk_health_kind kind, const char *text, uint64_t timeout_ms)
{
	const struct sk_runtime_unit unit = { .kind = &kind_here, .app = &app_here };
	struct sk_probe p = {
		.kind = kind, .http_path = "/", .timeout_ms = timeout_ms, .unit = &unit
	};
	pid_t pid = serve(text, &p.port);
	int r = sk_probe_run(&p);

	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return r;
}

static void answers(void **state)
{
	assert_int_equal(ask(SK_HEALTH_HTTP, "HTTP/1.1 200 OK\r\n\r\n", 5000), 0);
	assert_int_equal(ask(SK_HEALTH_HTTP, "HTTP/1.1 302 Found\r\n\r\n", 5000), 0);
	assert_int_equal(ask(SK_HEALTH_HTTP, "HTTP/1.1 500 No\r\n\r\n", 5000), 1);
	assert_int_equal(ask(SK_HEALTH_HTTP, "HTTP/1.1 199 No\r\n\r\n", 5000), 1);
	assert_int_equal(ask(SK_HEALTH_HTTP, "hello\n", 5000), 1);
	assert_int_equal(ask(SK_HEALTH_HTTP, "", 5000), 1);
	assert_int_equal(ask(SK_HEALTH_TCP, "", 5000), 0);
}

static void silence_ends_at_the_timeout(void **state)
{
	assert_int_equal(ask(SK_HEALTH_HTTP, NULL, 50), 1);
}

static void nobody_listens(void **state)
{
	struct sk_app app = { .network = SK_NETWORK_HOST };
	struct sk_runtime_unit unit = { .kind = &kind_here, .app = &app };
	struct sk_probe p = { .kind = SK_HEALTH_TCP, .timeout_ms = 5000, .unit = &unit };
	pid_t pid = serve("", &p.port);

	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	assert_int_equal(sk_probe_run(&p), 1);
	/* No such process: its network cannot be entered. */
	app.network = SK_NETWORK_NONE;
	unit.pid = 0x3fffffff;
	assert_int_equal(sk_probe_run(&p), 1);
}

/* Between two runs a container has no process: what listens on the device itself is not its service. */
static void one_that_does_not_run(void **state)
{
	const struct sk_app app = { .network = SK_NETWORK_NONE };
	const struct sk_runtime_unit unit = { .kind = &kind_here, .app = &app };
	struct sk_probe p = { .kind = SK_HEALTH_TCP, .timeout_ms = 5000, .unit = &unit };
	pid_t pid = serve("", &p.port);

	assert_int_equal(sk_probe_run(&p), 1);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_lines),
		cmocka_unit_test(answers),
		cmocka_unit_test(silence_ends_at_the_timeout),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(one_that_does_not_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
