/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/str.h"
#include "engine/ask.h"
#include "engine/daemon.h"
#include "engine/docker/docker.h"
#include "engine/docker/workdir.h"
#include "engine/runtime/container/container.h"

#define CONFIG_FILE	"/etc/skerry/skerryd.conf"
#define CONNECTIONS_MAX 256
#define IDLE_S		300
#define REQUEST_S	30
#define COLLECT_KEEPS	1

static const struct sk_http_route *const tables[] = {
	sk_api_routes,		sk_api_capsule_routes,	    sk_docker_system_routes,
	sk_docker_image_routes, sk_docker_container_routes, sk_docker_wait_routes,
	sk_docker_log_routes,	sk_docker_event_routes,	    sk_docker_unsupported_routes,
};

static bool is_named_image(void *arg, const struct sk_digest *d)
{
	const struct sk_daemon *daemon = arg;

	return sk_docker_image_in_use(daemon, d);
}

/* --- parts, each made by one function and ended in daemon_done() --- */

static int lookup_accounts(struct sk_daemon *d, struct sk_err *err)
{
	const char *user = d->config.agent_user, *group = d->config.socket_group;
	const struct passwd *pw = *user ? getpwnam(user) : NULL;
	const struct group *gr = *group ? getgrnam(group) : NULL;
	uint32_t n;

	d->agent_uid = pw ? pw->pw_uid : sk_parse_u32(user, &n) == 0 ? n : (uid_t)-1;
	d->group_gid = gr ? gr->gr_gid : sk_parse_u32(group, &n) == 0 ? n : (gid_t)-1;
	if (*user && d->agent_uid == (uid_t)-1)
		sk_info("there is no user \"%s\": nobody but root brings releases", user);
	return 0;
}

static int make_daemon_dirs(struct sk_daemon *d, struct sk_err *err)
{
	/* The engine makes its own, not all of which are open to everybody. */
	const char *const dirs[] = { d->config.state_dir, d->store_dir, d->config.run_dir };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		int r = sk_mkdir_p(AT_FDCWD, dirs[i], 0755);

		if (r < 0)
			return sk_err_set(err, r, "io", "cannot make the folder %s: %s", dirs[i],
					  strerror(-r));
	}
	return 0;
}

static int make_paths(struct sk_daemon *d, struct sk_err *err)
{
	d->store_dir = sk_asprintf("%s/store", d->config.state_dir);
	d->capsule_dir = sk_asprintf("%s/capsules", d->config.state_dir);
	d->volume_dir = sk_asprintf("%s/volumes", d->config.state_dir);
	if (!d->store_dir || !d->capsule_dir || !d->volume_dir)
		return sk_err_oom(err);
	return make_daemon_dirs(d, err);
}

static int make_store(struct sk_daemon *d, struct sk_err *err)
{
	int r = sk_store_open(d->store_dir, &d->store, err);

	return r < 0 ? r : sk_names_open(d->store, &d->names, err);
}

static int make_engine(struct sk_daemon *d, struct sk_err *err)
{
	const struct sk_container_settings container = { d->config.runtime, d->config.monitor };
	const struct sk_runtime_kind kinds[] = { { &sk_container_ops, &container }, { NULL } };
	const struct sk_engine_config config = {
		.run_dir = d->config.run_dir,
		.state_dir = d->capsule_dir,
		.volume_dir = d->volume_dir,
		.log_dir = d->config.log_dir,
		.uid_base = d->config.uid_base,
		.log_max_bytes = d->config.log_size_max,
		.limits_best_effort = d->config.limits_best_effort,
		.kinds = kinds,
	};

	return sk_engine_new(d->event, d->store, &config, &d->engine, err);
}

static int make_claims(struct sk_daemon *d, struct sk_err *err)
{
	const struct sk_claimant names = { .name = "local image names",
					   .needs = is_named_image,
					   .arg = d };
	int r = sk_claims_new(d->event, d->store, &d->claims, err);

	return r < 0 ? r : sk_claims_register(d->claims, &names, err);
}

static int make_intake(struct sk_daemon *d, struct sk_err *err)
{
	const struct sk_verifier_config verifier = {
		.trust_dir = d->config.trust_dir,
		.compatible = d->config.compatible,
		.clock = d->config.clock,
	};
	struct sk_intake_config config = {
		.event = d->event,
		.store = d->store,
		.claims = d->claims,
		.store_dir = d->store_dir,
		.precheck_uid = d->config.uid_base + SK_ENGINE_UIDS_MAX + SK_UID_PRECHECK,
	};
	int r = sk_verifier_new(&verifier, &d->verifier, err);

	if (r < 0)
		return r;
	config.verifier = d->verifier;
	return sk_intake_new(&config, &d->intake, err);
}

static int make_update(struct sk_daemon *d, struct sk_err *err)
{
	const struct sk_update_config config = {
		.event = d->event,
		.store = d->store,
		.engine = d->engine,
		.claims = d->claims,
		.verifier = d->verifier,
		.intake = d->intake,
	};
	int r = sk_update_new(&config, &d->update, err);

	if (r < 0)
		return r;
	r = sk_update_start(d->update, err);
	if (r < 0)
		return r;
	/* The parts of uploads that a killed daemon left behind, for releases that are not here any more. */
	sk_claims_collect(d->claims);
	return 0;
}

static int make_api(struct sk_daemon *d, struct sk_err *err)
{
	d->api = (struct sk_api){
		.event = d->event,
		.store = d->store,
		.engine = d->engine,
		.verifier = d->verifier,
		.intake = d->intake,
		.update = d->update,
		.compatible = d->config.compatible,
	};
	sk_api_start(&d->api);
	return 0;
}

static int make_loads(struct sk_daemon *d, struct sk_err *err)
{
	int r = sk_workdirs_open(d->event, d->config.state_dir, &d->workdirs, err);

	if (r < 0)
		return r;
	return sk_docker_loads_new(d, &d->loads) < 0 ? sk_err_oom(err) : 0;
}

/* The service manager's socket when it passes one, else one of our own. */
static int listen_fd(struct sk_daemon *d, int *ret, struct sk_err *err)
{
	int n = sd_listen_fds(1);

	if (n == 1 && sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) > 0) {
		*ret = SD_LISTEN_FDS_START;
		return 0;
	}
	if (n > 0)
		return sk_err_set(
			err, -EINVAL, "bad-value",
			"the service manager passes %d sockets; one UNIX stream socket is "
			"expected",
			n);
	/* Everyone may connect; sk_daemon_authorize() looks at who it is. */
	return sk_http_listen_unix(d->config.socket, 0666, (gid_t)-1, ret, err);
}

static int make_http(struct sk_daemon *d, struct sk_err *err)
{
	struct sk_http_config config = {
		.event = d->event,
		.connections_max = CONNECTIONS_MAX,
		.idle_timeout_s = IDLE_S,
		.request_timeout_s = REQUEST_S,
		.authorize = sk_daemon_authorize,
		.peer_max = sk_daemon_peer_max,
		.error_body = sk_docker_error_body,
		.rewrite = sk_docker_strip_version,
		.arg = d,
		.table_args = d->table_args,
	};
	int r = listen_fd(d, &config.listen_fd, err);

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		d->table_args[i] = i < SK_DAEMON_API_TABLES ? (void *)&d->api : d;

	return r < 0 ? r : sk_http_new(&config, tables, ARRAY_SIZE(tables), &d->http, err);
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *arg)
{
	sk_info("%s: going; the capsules stay", strsignal((int)si->ssi_signo));
	return sd_event_exit(sd_event_source_get_event(s), 0);
}

static int make_event(struct sk_daemon *d, struct sk_err *err)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP };
	sigset_t set;
	int r;

	sk_end_signals(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	r = sd_event_new(&d->event);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(ends); i++)
		if (sigismember(&set, ends[i]))
			r = sd_event_add_signal(d->event, NULL, ends[i], on_signal, d);
	if (r >= 0)
		r = sd_event_set_watchdog(d->event, 1);
	if (r < 0)
		return sk_err_set(err, r, "internal", "cannot make the event loop: %s",
				  strerror(-r));
	return 0;
}

/* In the order in which each needs those before it. */
static int (*const makers[])(struct sk_daemon *d, struct sk_err *err) = {
	lookup_accounts, make_paths,  make_event, make_store, make_engine, make_claims,
	make_intake,	 make_update, make_api,	  make_loads, make_http,
};

static int daemon_start(struct sk_daemon *d, struct sk_err *err)
{
	d->started_s = sk_wall_s();
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		int r = makers[i](d, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static void daemon_done(struct sk_daemon *d)
{
	sk_http_free(d->http);
	sk_docker_loads_free(d->loads);
	sk_workdirs_free(d->workdirs);
	sk_api_done(&d->api);
	sk_update_free(d->update);
	sk_intake_free(d->intake);
	sk_verifier_free(d->verifier);
	sk_claims_free(d->claims);
	sk_engine_free(d->engine);
	sk_names_free(d->names);
	sk_store_close(d->store);
	sd_event_unref(d->event);
	free(d->store_dir);
	free(d->capsule_dir);
	free(d->volume_dir);
	sk_daemon_config_done(&d->config);
}

static int daemon_run(struct sk_daemon *d)
{
	const char *running = sk_update_running_name(d->update);
	int r;

	sk_notice("skerryd " SK_VERSION " is ready on %s%s%s", d->config.socket,
		  running ? ", running " : "", running ? running : "");
	(void)sd_notify(0, "READY=1");
	r = sd_event_loop(d->event);
	(void)sd_notify(0, "STOPPING=1");
	if (r < 0)
		sk_error("the event loop ended: %s", strerror(-r));
	return r < 0 ? 1 : 0;
}

static int daemon_usage(FILE *to)
{
	fputs("usage: skerryd [--config FILE] [--debug | --halt]\n"
	      "\n"
	      "The device's daemon: keeps images and generations, runs capsules, and serves the\n"
	      "Skerry API and a part of the Docker API on its socket. See skerryd(8).\n"
	      "\n"
	      "  -c, --config FILE  settings (default " CONFIG_FILE ")\n"
	      "      --debug        say more\n"
	      "      --halt         tell the running daemon to stop all capsules, and wait for it\n"
	      "      --version      print the version\n"
	      "  -h, --help         this text\n",
	      to);
	return to == stderr ? 2 : 0;
}

static int daemon_configure(struct sk_daemon *d, const char *path, struct sk_err *err)
{
	if (sk_daemon_config_init(&d->config) < 0)
		return sk_err_oom(err);
	return sk_daemon_config_read(&d->config, path ?: CONFIG_FILE, path != NULL, err);
}

static int daemon_main(struct sk_daemon *d, const char *config, bool halt, struct sk_err *err)
{
	int r = daemon_configure(d, config, err);

	if (r < 0)
		return r;
	if (halt)
		return sk_ask_halt(d->config.socket, err);
	r = daemon_start(d, err);
	return r < 0 ? r : daemon_run(d);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "debug", no_argument, NULL, 'd' },
		{ "halt", no_argument, NULL, 'H' },	    { "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};
	enum sk_log_level level = SK_LOG_INFO;
	struct sk_err err = SK_ERR_INIT;
	struct sk_daemon d = { 0 };
	const char *config = NULL;
	bool halt = false;
	int r, opt;

	while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (opt == 'h')
			return daemon_usage(stdout);
		if (opt == 'v')
			return puts("skerryd " SK_VERSION) < 0;
		if (opt == 'c')
			config = optarg;
		else if (opt == 'd')
			level = SK_LOG_DEBUG;
		else if (opt == 'H')
			halt = true;
		else
			return daemon_usage(stderr);
	}
	if (optind < argc)
		return daemon_usage(stderr);
	sk_log_open("skerryd", level);
	r = daemon_main(&d, config, halt, &err);
	if (r < 0)
		sk_error("%s", err.text);
	daemon_done(&d);
	return r < 0 ? sk_err_exit_code(err.slug) : r;
}
