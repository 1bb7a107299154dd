/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "agent/config.h"
#include "agent/identity.h"
#include "agent/link.h"
#include "base/log.h"
#include "base/str.h"

static const char usage[] =
	"Usage: skerry-agent [OPTIONS]\n\n"
	"The device's link to the fleet hub: enrols the device, waits for work, hands releases to "
	"skerryd.\n\n"
	"Options:\n"
	"  -c, --config FILE  settings (default: " SK_AGENT_CONFIG_FILE ")\n"
	"  -v, --verbose      log more; twice for everything\n"
	"      --id           print the device id, after making the key when there is none\n"
	"  -h, --help         show this help\n"
	"      --version      print the version\n";

struct args {
	const char *config;
	enum sk_log_level level;
	bool id, ended;
};

/* Return: exit status when the program is to end, or -1 */
static int parse_args(int argc, char **argv, struct args *a)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' }, { "verbose", no_argument, NULL, 'v' },
		{ "id", no_argument, NULL, 'i' },	    { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },	    { 0 }
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:vh", longs, NULL)) >= 0) {
		if (opt == 'c')
			a->config = optarg;
		else if (opt == 'v')
			a->level = a->level < SK_LOG_INFO ? SK_LOG_INFO : SK_LOG_DEBUG;
		else if (opt == 'i')
			a->id = true;
		else if (opt == 'h' || opt == 'V') {
			(void)fputs(opt == 'h' ? usage : "skerry-agent " SK_VERSION "\n", stdout);
			return 0;
		} else {
			return 2;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "skerry-agent: unexpected argument \"%s\"\n", argv[optind]);
		return 2;
	}
	return -1;
}

/*
 * The unit file confines it as well; this holds elsewhere too. The key must not reach a core file
 * or a debugger of the same user.
 */
static void give_up_privileges(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		sk_warning("cannot confine itself: %s", strerror(errno));
	if (syscall(SYS_capset, &head, none) < 0)
		sk_warning("cannot drop capabilities: %s", strerror(errno));
	if (geteuid() == 0)
		sk_warning("runs as root; it needs a user of its own only");
}

int main(int argc, char **argv)
{
	struct args args = { .config = SK_AGENT_CONFIG_FILE, .level = SK_LOG_NOTICE };
	struct sk_agent_config config = { 0 };
	_cleanup_(sk_identity_freep) struct sk_identity *identity = NULL;
	struct sk_err err = SK_ERR_INIT;
	int r = parse_args(argc, argv, &args);

	if (r >= 0)
		return r;
	sk_log_open("skerry-agent", args.level);
	give_up_privileges();
	r = sk_agent_config_load(args.config, &config, &err);
	if (r == 0)
		r = sk_identity_open(config.state_dir, &identity, &err);
	if (r == 0 && args.id)
		(void)printf("%s\n", sk_identity_id(identity));
	else if (r == 0)
		r = sk_agent_link_run(&config, identity, &err);
	if (r < 0)
		sk_error("%s", err.text);
	sk_agent_config_done(&config);
	return r < 0 ? sk_err_exit_code(err.slug) : 0;
}
