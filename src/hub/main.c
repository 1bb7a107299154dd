/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/str.h"
#include "hub/admin.h"
#include "hub/core/hub.h"
#include "hub/request/call.h"
#include "hub/routes.h"
#include "hub/tls.h"

#define CONFIG_FILE	  "/etc/skerry/hub.conf"
#define IDLE_TIMEOUT_S	  180 /* longer than the longest poll's pauses */
#define REQUEST_TIMEOUT_S 30

/** The command line. */
struct options {
	struct sk_hub_config config;
	const char *org, *owner, *password_file;
	char **args;
	int n_args;
};

static const char usage[] =
	"usage: skerry-hub [OPTIONS] [COMMAND]\n"
	"\n"
	"The fleet server of Skerry.\n"
	"\n"
	"commands:\n"
	"  serve                        run the hub (the default)\n"
	"  init --org ORG --owner USER  make certificates and the first organisation\n"
	"  org add ORG --owner USER     make another organisation\n"
	"  org list                     organisations, and what they store\n"
	"  org quota ORG SIZE           bound what an organisation stores; 0: no bound\n"
	"  password ORG USER            a new password for a user who lost his\n"
	"  backup FILE                  copy the database while the hub runs\n"
	"\n"
	"options:\n"
	"  --config FILE         settings (default " CONFIG_FILE ", if it is there)\n"
	"  --data DIR            database, images and certificates\n"
	"  --listen ADDRESS      e.g. [::]:8443; port 0 lets the kernel choose\n"
	"  --name NAME           host name or address for the certificate; several times\n"
	"  --tls-cert FILE, --tls-key FILE   a certificate of your own\n"
	"  --set KEY=VALUE       any other setting\n"
	"  --password-file FILE  the password, instead of one made for the first login\n"
	"  -h, --help, --version\n";

static int add_name(struct sk_hub_config *c, const char *name, struct sk_err *err)
{
	size_t len = strlen(c->names);

	if (len + strlen(name) + 2 > sizeof(c->names))
		return sk_err_set(err, -E2BIG, "usage", "too many names");
	(void)snprintf(c->names + len, sizeof(c->names) - len, "%s%s", len ? " " : "", name);
	return 0;
}

static int set_pair(struct sk_hub_config *c, const char *pair, struct sk_err *err)
{
	const char *equals = strchr(pair, '=');
	char key[64];

	if (!equals)
		return sk_err_set(err, -EINVAL, "usage", "--set wants KEY=VALUE");
	(void)snprintf(key, sizeof(key), "%.*s", (int)(equals - pair), pair);
	return sk_hub_config_set(c, key, equals + 1, err);
}

enum {
	O_CONFIG = 256,
	O_DATA,
	O_LISTEN,
	O_NAME,
	O_CERT,
	O_KEY,
	O_SET,
	O_ORG,
	O_OWNER,
	O_PASSWORD,
	O_VERSION
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, O_CONFIG },
	{ "data", required_argument, NULL, O_DATA },
	{ "listen", required_argument, NULL, O_LISTEN },
	{ "name", required_argument, NULL, O_NAME },
	{ "tls-cert", required_argument, NULL, O_CERT },
	{ "tls-key", required_argument, NULL, O_KEY },
	{ "set", required_argument, NULL, O_SET },
	{ "org", required_argument, NULL, O_ORG },
	{ "owner", required_argument, NULL, O_OWNER },
	{ "password-file", required_argument, NULL, O_PASSWORD },
	{ "version", no_argument, NULL, O_VERSION },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int apply_option(struct options *o, int option, const char *value, struct sk_err *err)
{
	struct sk_hub_config *c = &o->config;

	switch (option) {
	case O_CONFIG:
		return 0; /* read before */
	case O_DATA:
		return sk_hub_config_set(c, "data", value, err);
	case O_LISTEN:
		return sk_hub_config_set(c, "listen", value, err);
	case O_CERT:
		return sk_hub_config_set(c, "tls-cert", value, err);
	case O_KEY:
		return sk_hub_config_set(c, "tls-key", value, err);
	case O_NAME:
		return add_name(c, value, err);
	case O_SET:
		return set_pair(c, value, err);
	case O_ORG:
		o->org = value;
		return 0;
	case O_OWNER:
		o->owner = value;
		return 0;
	case O_PASSWORD:
		o->password_file = value;
		return 0;
	default:
		return sk_err_set(err, -EINVAL, "usage", "see skerry-hub --help");
	}
}

/* The file is read first, wherever its option stands: the command line overrides it. */
static int read_config(struct options *o, int argc, char **argv, struct sk_err *err)
{
	const char *file = NULL;
	int option;

	sk_hub_config_defaults(&o->config);
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0)
		if (option == O_CONFIG)
			file = optarg;
	optind = 1;
	if (!file && access(CONFIG_FILE, F_OK) < 0)
		return 0;
	return sk_conf_read(file ? file : CONFIG_FILE, sk_hub_config_set, &o->config, err);
}

/* Return: 0, 1 when --help or --version was answered, or a failure */
static int parse(struct options *o, int argc, char **argv, struct sk_err *err)
{
	int option, r = read_config(o, argc, argv, err);

	while (r == 0 && (option = getopt_long(argc, argv, "h", long_options, NULL)) >= 0) {
		if (option == 'h' || option == O_VERSION) {
			(void)fputs(option == 'h' ? usage : "skerry-hub " SK_VERSION "\n", stdout);
			return 1;
		}
		r = apply_option(o, option, optarg, err);
	}
	o->args = argv + optind;
	o->n_args = argc - optind;
	return r;
}

static int lock_data(const char *data, int *ret_fd, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/lock", data);
	int fd;

	if (!path)
		return sk_err_oom(err);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return sk_err_set(err, -errno, "io", "cannot open %s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		(void)close(fd);
		return sk_err_set(err, -EBUSY, "in-use", "another hub runs on %s", data);
	}
	*ret_fd = fd;
	return 0;
}

/* Each waiting device holds a descriptor. */
static void raise_file_limit(unsigned connections)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
	if (l.rlim_cur < connections + 64ul)
		sk_notice("only %llu files may be open, fewer than connections-max (%u)",
			  (unsigned long long)l.rlim_cur, connections);
}

static int start_server(struct sk_hub *hub, const struct sk_hub_tls *tls, struct sk_http **ret,
			uint16_t *ret_port, struct sk_err *err)
{
	struct sk_http_config config = {
		.threads = hub->config.threads,
		.tls_cert_pem = tls->cert_pem,
		.tls_key_pem = tls->key_pem,
		.connections_max = hub->config.connections_max,
		.per_ip_max = hub->config.connections_per_ip,
		.idle_timeout_s = IDLE_TIMEOUT_S,
		.request_timeout_s = REQUEST_TIMEOUT_S,
		.authorize = sk_hub_authorize,
		.go_on = sk_hub_go_on,
		.arg = hub,
	};
	int r = sk_http_listen_tcp(hub->config.listen, &config.listen_fd, ret_port, err);

	return r < 0 ? r : sk_http_new(&config, sk_hub_routes, sk_hub_n_routes, ret, err);
}

/* The line that scripts wait for: printed when requests are answered. */
static void announce(const struct sk_hub *hub, const struct sk_hub_tls *tls, uint16_t port)
{
	char host[128];
	char *colon;

	(void)snprintf(host, sizeof(host), "%s", hub->config.listen);
	colon = strrchr(host, ':');
	if (colon)
		*colon = '\0';
	(void)printf("ready: https://%s:%u", host, port);
	if (tls->ca_file)
		(void)printf(" ca: %s", tls->ca_file);
	(void)printf("\n");
	(void)fflush(stdout);
	(void)sd_notify(0, "READY=1");
}

static int run(struct sk_hub *hub, const struct sk_hub_tls *tls, const sigset_t *signals,
	       struct sk_err *err)
{
	_cleanup_(sk_http_freep) struct sk_http *http = NULL;
	uint16_t port = 0;
	int got, r = sk_hub_start(hub, err);

	if (r < 0)
		return r;
	r = start_server(hub, tls, &http, &port, err);
	if (r < 0)
		return r;
	announce(hub, tls, port);
	while (sigwait(signals, &got) != 0)
		;
	(void)sd_notify(0, "STOPPING=1");
	sk_notice("stopping");
	return 0;
}

static int serve(struct options *o, struct sk_err *err)
{
	_cleanup_(sk_hub_tls_done) struct sk_hub_tls tls = { 0 };
	_cleanup_(sk_hub_freep) struct sk_hub *hub = NULL;
	_cleanup_close_ int lock = -1;
	struct sk_hub_config *c = &o->config;
	sigset_t signals;
	int r = sk_mkdir_p(AT_FDCWD, c->data, 0700);

	sk_end_signals(&signals);
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot make %s: %s", c->data, strerror(-r));
	raise_file_limit(c->connections_max);
	r = lock_data(c->data, &lock, err);
	if (r < 0)
		return r;
	r = sk_hub_tls_load(c->data, c->tls_cert, c->tls_key, c->names, &tls, err);
	if (r < 0)
		return r;
	r = sk_hub_new(c, &hub, err);
	return r < 0 ? r : run(hub, &tls, &signals, err);
}

static int init(struct options *o, struct sk_err *err)
{
	_cleanup_(sk_hub_tls_done) struct sk_hub_tls tls = { 0 };
	struct sk_hub_config *c = &o->config;
	int r;

	if (!o->org || !o->owner)
		return sk_err_set(err, -EINVAL, "usage", "init needs --org and --owner");
	r = sk_mkdir_p(AT_FDCWD, c->data, 0700);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot make %s: %s", c->data, strerror(-r));
	r = sk_hub_tls_load(c->data, c->tls_cert, c->tls_key, c->names, &tls, err);
	if (r == 0)
		r = sk_admin_org_add(c, o->org, o->owner, o->password_file, err);
	if (r == 0 && tls.ca_file)
		(void)printf("devices and users trust this hub by %s\n", tls.ca_file);
	return r;
}

static int org(struct options *o, struct sk_err *err)
{
	const char *verb = o->n_args > 1 ? o->args[1] : "";

	if (sk_streq(verb, "list") && o->n_args == 2)
		return sk_admin_org_list(&o->config, err);
	if (sk_streq(verb, "add") && o->n_args == 3 && o->owner)
		return sk_admin_org_add(&o->config, o->args[2], o->owner, o->password_file, err);
	if (sk_streq(verb, "quota") && o->n_args == 4)
		return sk_admin_org_quota(&o->config, o->args[2], o->args[3], err);
	return sk_err_set(err, -EINVAL, "usage",
			  "org add ORG --owner USER, org list, or org quota ORG SIZE");
}

/* For the test that compares the API's description with the routes. */
static int print_routes(void)
{
	for (size_t i = 0; i < sk_hub_n_routes; i++)
		for (const struct sk_http_route *r = sk_hub_routes[i]; r->method; r++)
			(void)printf("%s %s %s\n", r->method, r->pattern,
				     r->flags & SK_HUB_PUBLIC	? "public"
				     : r->flags & SK_HUB_DEVICE ? "device"
				     : r->flags & SK_HUB_OWNER	? "owner"
								: "user");
	return 0;
}

static int dispatch(struct options *o, struct sk_err *err)
{
	const char *command = o->n_args > 0 ? o->args[0] : "serve";

	if (sk_streq(command, "serve") && o->n_args <= 1)
		return serve(o, err);
	if (sk_streq(command, "init") && o->n_args == 1)
		return init(o, err);
	if (sk_streq(command, "org"))
		return org(o, err);
	if (sk_streq(command, "password") && o->n_args == 3)
		return sk_admin_password(&o->config, o->args[1], o->args[2], o->password_file, err);
	if (sk_streq(command, "backup") && o->n_args == 2)
		return sk_admin_backup(&o->config, o->args[1], err);
	if (sk_streq(command, "routes"))
		return print_routes();
	return sk_err_set(err, -EINVAL, "usage", "no such command; see skerry-hub --help");
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct sk_err err = SK_ERR_INIT;
	int r;

	sk_log_open("skerry-hub", SK_LOG_INFO);
	(void)umask(077);
	r = parse(&o, argc, argv, &err);
	if (r == 0)
		r = dispatch(&o, &err);
	if (r < 0) {
		(void)fprintf(stderr, "skerry-hub: %s\n", err.text);
		return sk_err_exit_code(err.slug);
	}
	return 0;
}
