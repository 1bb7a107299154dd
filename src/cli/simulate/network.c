/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"
#include "io/sys/child.h"

#define GUEST_ADDRESS	 "10.0.2.100"
#define READY_TIMEOUT_MS 10000

static int start_slirp(pid_t device_pid, const char *api_socket, int ready_fd, int log_fd,
		       pid_t *ret_pid, struct sk_err *err)
{
	char pid[16];
	const char *const argv[] = { "slirp4netns",
				     "--configure",
				     "--mtu=65520",
				     "--ready-fd=3",
				     "--api-socket",
				     api_socket,
				     pid,
				     "tap0",
				     NULL };
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = argv, .fds = &ready_fd, .n_fds = 1,
						  .stderr_fd = log_fd, .kill_with_parent = true);

	(void)snprintf(pid, sizeof(pid), "%d", (int)device_pid);
	return sk_child_spawn(&spec, ret_pid, err);
}

static int wait_network_ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	if (poll(&p, 1, READY_TIMEOUT_MS) != 1)
		return -ETIMEDOUT;
	return read(fd, &c, 1) == 1 ? 0 : -EPIPE;
}

static int connect_api(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* "8080:80" on loopback of the desk. */
static int parse_publish(const char *s, uint32_t *host, uint32_t *guest, struct sk_err *err)
{
	_cleanup_strv_ char **parts = NULL;

	if (sk_strv_split(s, ':', &parts) < 0)
		return sk_err_oom(err);
	if (sk_strv_len(parts) != 2 || sk_parse_u32(parts[0], host) < 0 ||
	    sk_parse_u32(parts[1], guest) < 0 || *host == 0 || *host > 65535 || *guest == 0 ||
	    *guest > 65535)
		return sk_err_set(err, -EINVAL, "usage",
				  "--publish %s: write HOSTPORT:DEVICEPORT, such as 8080:80", s);
	return 0;
}

int sk_sim_publish_check(char *const *publish, struct sk_err *err)
{
	uint32_t host, guest;
	int r = 0;

	SK_STRV_FOREACH (p, publish)
		r = r < 0 ? r : parse_publish(*p, &host, &guest, err);
	return r;
}

static int publish(const char *api_socket, const char *what, struct sk_err *err)
{
	_cleanup_close_ int fd = connect_api(api_socket);
	_cleanup_free_ char *request = NULL;
	uint32_t host, guest;
	char answer[512];
	ssize_t n;
	int r = parse_publish(what, &host, &guest, err);

	if (r < 0)
		return r;
	if (fd < 0)
		return sk_err_set(err, fd, "unreachable", "slirp4netns does not answer: %s",
				  strerror(-fd));
	request = sk_asprintf(
		"{\"execute\":\"add_hostfwd\",\"arguments\":{\"proto\":\"tcp\","
		"\"host_addr\":\"127.0.0.1\",\"host_port\":%u,\"guest_addr\":\"" GUEST_ADDRESS
		"\",\"guest_port\":%u}}",
		host, guest);
	if (!request)
		return sk_err_oom(err);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) < 0)
		return sk_err_set(err, -errno, "unreachable", "slirp4netns does not answer");
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	answer[SK_MAX(n, (ssize_t)0)] = '\0';
	if (n <= 0 || strstr(answer, "\"error\""))
		return sk_err_set(err, -EADDRINUSE, "in-use",
				  "port %u cannot be published; is it in use on this machine?",
				  host);
	return 0;
}

static int attach(const struct sk_sim_config *c, pid_t device_pid, pid_t *ret_pid,
		  struct sk_err *err)
{
	_cleanup_free_ char *api = sk_asprintf("%s/slirp.sock", c->dir);
	_cleanup_free_ char *log_path = sk_asprintf("%s/slirp.log", c->dir);
	_cleanup_close_ int log_fd = -1, ready_read = -1, ready_write = -1;
	int fds[2], r;

	if (!api || !log_path)
		return sk_err_oom(err);
	(void)unlink(api);
	log_fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log_fd < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return sk_err_set(err, -errno, "io", "cannot start the device's network: %s",
				  strerror(errno));
	ready_read = fds[0];
	ready_write = fds[1];
	r = start_slirp(device_pid, api, ready_write, log_fd, ret_pid, err);
	if (r < 0)
		return r;
	(void)close(TAKE_FD(ready_write));
	r = wait_network_ready(ready_read);
	if (r < 0)
		return sk_err_set(err, r, "child-failed", "slirp4netns did not come up; see %s",
				  log_path);
	SK_STRV_FOREACH (p, c->publish) {
		r = publish(api, *p, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int sk_sim_network_up(const struct sk_sim_config *c, pid_t device_pid, pid_t *ret_pid,
		      struct sk_err *err)
{
	int r;

	*ret_pid = 0;
	if (c->network != SK_SIM_NET_SLIRP)
		return 0;
	r = attach(c, device_pid, ret_pid, err);
	if (r < 0 && *ret_pid > 0)
		(void)kill(*ret_pid, SIGTERM);
	return r < 0 ? sk_err_prefix(err, "network of the virtual device") : 0;
}
