/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate/simulate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/simulate/machine.h"

#define DISK_DEFAULT "1G"
#define DISK_MIN     (64ull << 20)

static int need_root(struct sk_err *err)
{
	if (geteuid() == 0)
		return 0;
	return sk_err_set(
		err, -EPERM, "forbidden",
		"a virtual device has mounts and a network of its own, which only root can make: use sudo");
}

/* Of the build tree next to this command, else the installed one. */
static int find_program(const char *in_tree, const char *installed, char ret[static PATH_MAX])
{
	char exe[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n <= 0)
		return -errno;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (slash)
		*slash = '\0';
	(void)snprintf(path, sizeof(path), "%s/../%s", exe, in_tree);
	if (realpath(path, ret) && access(ret, X_OK) == 0)
		return 0;
	(void)snprintf(ret, PATH_MAX, "%s", installed);
	return access(ret, X_OK) == 0 ? 0 : -errno;
}

static int find_programs(struct sk_sim_config *c, bool with_agent, struct sk_err *err)
{
	ssize_t n = readlink("/proc/self/exe", c->tool, sizeof(c->tool) - 1);

	c->tool[SK_MAX(n, (ssize_t)0)] = '\0';
	if (find_program("engine/skerryd", "/usr/sbin/skerryd", c->skerryd) < 0 ||
	    find_program("unpack/skerry-unpack", "/usr/libexec/skerry/skerry-unpack", c->unpacker) <
		    0)
		return sk_err_set(err, -ENOENT, "not-found",
				  "skerryd is not installed: install the package skerry-device");
	c->agent[0] = '\0';
	if (with_agent &&
	    find_program("agent/skerry-agent", "/usr/sbin/skerry-agent", c->agent) < 0)
		return sk_err_set(
			err, -ENOENT, "not-found",
			"skerry-agent is not installed: install the package skerry-device");
	return 0;
}

static int parse_network(const char *s, enum sk_sim_network *ret, struct sk_err *err)
{
	if (!s || sk_streq(s, "slirp"))
		*ret = SK_SIM_NET_SLIRP;
	else if (sk_streq(s, "host"))
		*ret = SK_SIM_NET_HOST;
	else if (sk_streq(s, "none"))
		*ret = SK_SIM_NET_NONE;
	else
		return sk_err_set(err, -EINVAL, "usage", "--network %s: write slirp, host or none",
				  s);
	return 0;
}

static int use_dir(const char *dir, bool make, struct sk_sim_config *c, struct sk_err *err)
{
	int r = make ? sk_mkdir_p(AT_FDCWD, dir, 0700) : 0;

	if (r < 0 || !realpath(dir, c->dir))
		return sk_err_set(err, r < 0 ? r : -errno, "not-found", "no device folder %s: %s",
				  dir, strerror(r < 0 ? -r : errno));
	/* run/skerry.sock below it must fit into a socket's address. */
	if (strlen(c->dir) > 80)
		return sk_err_set(err, -ENAMETOOLONG, "bad-value",
				  "the path %s is too long: at most 80 bytes", c->dir);
	return 0;
}

/* The folder is made last: a mistake leaves none behind. */
static int read_config(struct sk_cli *cli, struct sk_sim_config *c, struct sk_err *err)
{
	const char *size = sk_cli_opt(cli, "size");
	int r;

	if (sk_parse_size(size ? size : DISK_DEFAULT, &c->disk_bytes) < 0 ||
	    c->disk_bytes < DISK_MIN)
		return sk_err_set(err, -EINVAL, "bad-value", "--size %s: at least 64M, such as 1G",
				  size);
	r = parse_network(sk_cli_opt(cli, "network"), &c->network, err);
	if (r < 0)
		return r;
	r = find_programs(c, !sk_cli_flag(cli, "no-agent"), err);
	if (r < 0)
		return r;
	r = use_dir(sk_cli_arg(cli, 0), true, c, err);
	if (r < 0)
		return r;
	c->name = sk_cli_opt(cli, "name") ? sk_cli_opt(cli, "name") : strrchr(c->dir, '/') + 1;
	if (!sk_name_ok(c->name))
		return sk_err_set(err, -EINVAL, "bad-name",
				  "\"%s\" is no name for a device: use letters, digits, . _ -",
				  c->name);
	return 0;
}

/* Who is told that the device is on. */
struct starting {
	struct sk_cli *cli;
	struct sk_sim_config c;
	int ready_pipe; /* the command that waits for a device which outlives it; else -1 */
};

static void announce(void *arg)
{
	const struct starting *s = arg;
	const char *dir = s->c.dir;

	if (sk_cli_json(s->cli))
		sk_cli_print_json(json_pack("{s:s, s:s, s:o, s:o}", "name", s->c.name, "dir", dir,
					    "socket", json_sprintf("%s/run/skerry.sock", dir),
					    "console", json_sprintf("%s/console.log", dir)));
	else
		(void)printf("device %s is on\n"
			     "  socket   %s/run/skerry.sock\n"
			     "  console  %s/console.log\n",
			     s->c.name, dir, dir);
	(void)fflush(stdout);
}

static void announce_and_detach(void *arg)
{
	const struct starting *s = arg;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	announce(arg);
	(void)!write(s->ready_pipe, "1", 1);
	(void)close(s->ready_pipe);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		(void)dup2(null, fd);
}

/*
 * The device outlives the command: the process that holds it becomes a session of its own and writes failures
 * itself.
 */
static int run_detached(struct starting *s, const struct sk_sim_provision *p, struct sk_err *err)
{
	int fds[2], status;
	char ok;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return sk_err_set(err, -errno, "io", "cannot start the device: %s",
				  strerror(errno));
	(void)fflush(stdout);
	pid = fork();
	if (pid < 0)
		return sk_err_set(err, -errno, "child-failed", "cannot start the device: %s",
				  strerror(errno));
	if (pid == 0) {
		(void)close(fds[0]);
		s->ready_pipe = fds[1];
		(void)setsid();
		return sk_sim_run(&s->c, p, announce_and_detach, s, err);
	}
	(void)close(fds[1]);
	if (read(fds[0], &ok, 1) == 1) {
		(void)close(fds[0]);
		return 0;
	}
	(void)close(fds[0]);
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		return WEXITSTATUS(status);
	return sk_err_set(err, -ECHILD, "child-failed", "the device's process died");
}

static int run_simulate_start(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_strv_ char **publish = sk_strv_copy(sk_cli_opt_all(cli, "publish"));
	_cleanup_strv_ char **set = sk_strv_copy(sk_cli_opt_all(cli, "set"));
	_cleanup_strv_ char **agent_set = sk_strv_copy(sk_cli_opt_all(cli, "agent-set"));
	struct starting s = { .cli = cli, .c.publish = publish, .ready_pipe = -1 };
	struct sk_sim_provision p = {
		.trust_dir = sk_cli_opt(cli, "trust"),
		.compatible = sk_cli_opt(cli, "compatible"),
		.hub_url = sk_cli_opt(cli, "hub"),
		.hub_ca_file = sk_cli_opt(cli, "hub-ca"),
		.organisation = sk_cli_opt(cli, "organisation"),
		.token_file = sk_cli_opt(cli, "token-file"),
		.skerryd_settings = sk_strv_len(set) ? set : NULL,
		.agent_settings = agent_set,
	};
	int r = need_root(err);

	if (r < 0)
		return r;
	r = sk_sim_provision_check(&p, sk_cli_arg(cli, 0), err);
	if (r < 0)
		return r;
	r = sk_sim_publish_check(publish, err);
	if (r < 0)
		return r;
	r = read_config(cli, &s.c, err);
	if (r < 0)
		return r;
	if (sk_cli_flag(cli, "detach"))
		return run_detached(&s, &p, err);
	return sk_sim_run(&s.c, &p, announce, &s, err);
}

static int run_simulate_stop(struct sk_cli *cli, struct sk_err *err)
{
	struct sk_sim_config c = { 0 };
	int r = need_root(err);

	r = r < 0 ? r : use_dir(sk_cli_arg(cli, 0), false, &c, err);
	return r < 0 ? r : sk_sim_stop(&c, err);
}

static int run_power_cut(struct sk_cli *cli, struct sk_err *err)
{
	struct sk_sim_config c = { 0 };
	int r = need_root(err);

	r = r < 0 ? r : use_dir(sk_cli_arg(cli, 0), false, &c, err);
	return r < 0 ? r : sk_sim_power_cut(&c, err);
}

static int run_exec(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_strv_ char **argv = NULL;
	struct sk_sim_config c = { 0 };
	pid_t pid;
	int r = need_root(err);

	r = r < 0 ? r : use_dir(sk_cli_arg(cli, 0), false, &c, err);
	if (r < 0)
		return r;
	pid = sk_sim_pid(&c);
	if (pid == 0)
		return sk_err_set(err, -ESRCH, "bad-state", "device %s is off", c.dir);
	r = sk_strv_split("nsenter -m -p -n -u -i -C", ' ', &argv);
	r = r < 0 ? r : sk_strv_addf(&argv, "--target=%d", (int)pid);
	r = r < 0 ? r : sk_strv_add(&argv, "--");
	for (int i = 1; r == 0 && i < sk_cli_argc(cli); i++)
		r = sk_strv_add(&argv, sk_cli_arg(cli, i));
	if (r < 0)
		return sk_err_oom(err);
	(void)setenv("PATH", "/run/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	(void)execvp(argv[0], argv);
	return sk_err_set(err, -errno, "child-failed", "cannot run nsenter: %s", strerror(errno));
}

static int run_simulate_status(struct sk_cli *cli, struct sk_err *err)
{
	struct sk_sim_config c = { 0 };
	int r = use_dir(sk_cli_arg(cli, 0), false, &c, err);
	pid_t pid;

	if (r < 0)
		return r;
	pid = sk_sim_pid(&c);
	if (sk_cli_json(cli))
		sk_cli_print_json(json_pack("{s:b, s:i, s:s}", "on", pid != 0, "pid", (int)pid,
					    "dir", c.dir));
	else
		(void)printf("%s\n", pid ? "on" : "off");
	return pid ? 0 : 3;
}

static const struct sk_opt start_opts[] = {
	{ "trust", 0, "DIR", "folder with ca.pem (and crl.pem) that the device shall believe" },
	{ "compatible", 0, "TYPES",
	  "device types, the most specific first, separated by blanks (default skerry,virtual)" },
	{ "name", 0, "NAME", "host name (default: name of the folder)" },
	{ "hub", 0, "URL", "fleet hub; the desk is 10.0.2.2 in the default network" },
	{ "hub-ca", 0, "FILE", "certificate authority of the hub" },
	{ "organisation", 0, "NAME", "organisation to enrol with" },
	{ "token-file", 0, "FILE", "enrolment token: the hub accepts the device by itself" },
	{ "publish", 'p', "PORT:PORT", "desk port, on loopback, to a port of the device; repeat" },
	{ "network", 0, "KIND", "slirp (own network, default), host or none" },
	{ "size", 0, "SIZE", "size of a new disk (default 1G; the file is sparse)" },
	{ "set", 0, "KEY=VALUE", "a line for skerryd.conf; repeat" },
	{ "agent-set", 0, "KEY=VALUE", "a line for agent.conf; repeat" },
	{ "no-agent", 0, NULL, "a device without a link: skerryd alone" },
	{ "detach", 'd', NULL, "return once the device is on" },
	{ 0 },
};

static const char *const start_examples[] = {
	"sudo skerry simulate start dev1 --trust keys --no-agent\ta device that knows no hub",
	"sudo skerry simulate start dev1 --trust keys --hub https://10.0.2.2:8443 --hub-ca hub/ca.pem "
	"--token-file token -p 8080:8080 -d\ta device that enrols by itself and shows its port 8080",
	NULL,
};

static const struct sk_cmd cmd_start = {
	.name = "start",
	.summary = "switch a virtual device on",
	.args = "DIR",
	.min_args = 1,
	.max_args = 1,
	.about =
		"Runs the real daemons in namespaces of their own. Everything the device keeps is on "
		"DIR/disk.ext4, which is made at the first start; copy that file to copy the device. "
		"Without --detach the command stays until Ctrl-C, which shuts the device down.",
	.examples = start_examples,
	.opts = start_opts,
	.run = run_simulate_start,
};

static const struct sk_cmd cmd_stop = {
	.name = "stop",
	.summary = "shut a virtual device down in order",
	.args = "DIR",
	.min_args = 1,
	.max_args = 1,
	.run = run_simulate_stop,
};

static const struct sk_cmd cmd_power_cut = {
	.name = "power-cut",
	.summary = "pull the plug of a virtual device",
	.args = "DIR",
	.min_args = 1,
	.max_args = 1,
	.about =
		"Kills every process of the device and drops whatever its disk had not yet been told to "
		"keep, as a real power cut does. `skerry simulate start` goes on from what is left.",
	.run = run_power_cut,
};

static const struct sk_cmd cmd_exec = {
	.name = "exec",
	.summary = "run a command on a virtual device",
	.args = "DIR -- COMMAND [ARGS...]",
	.min_args = 2,
	.max_args = -1,
	.run = run_exec,
};

static const struct sk_cmd cmd_status = {
	.name = "status",
	.summary = "is a virtual device on? (exit status 0 or 3)",
	.args = "DIR",
	.min_args = 1,
	.max_args = 1,
	.run = run_simulate_status,
};

static const struct sk_cmd *const simulate_commands[] = {
	&cmd_start, &cmd_stop, &cmd_power_cut, &cmd_exec, &cmd_status, NULL,
};

const struct sk_cmd sk_cmd_simulate = {
	.name = "simulate",
	.summary = "virtual devices on this machine",
	.about =
		"A virtual device runs the real skerryd and skerry-agent, with a disk that is an ext4 file: "
		"its power can be cut.",
	.sub = simulate_commands,
};
