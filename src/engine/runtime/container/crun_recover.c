/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/runtime/container/crun.h"
#include "io/json.h"

#define STATE_MAX 65536

/* "created", "running", "stopped" …; NULL when the runtime does not know it. Owned. */
static char *ask_status(const struct sk_crun_unit *c)
{
	_cleanup_free_ char *root = sk_asprintf("--root=%s/crun", c->u->kind->env->run_dir),
			    *out = NULL;
	const char *const argv[] = { sk_container_kind_of(c->u)->crun, root, "state", c->u->id,
				     NULL };
	_cleanup_free_ char *path = sk_crun_path_variable();
	const char *const env[] = { path, NULL };
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = argv, .env = env);
	_cleanup_json_ json_t *o = NULL;
	const char *status = NULL;
	size_t len;

	if (!root || !path || sk_child_run(&spec, STATE_MAX, &out, &len, NULL) < 0 ||
	    sk_json_parse(out, len, &o, NULL) < 0 ||
	    sk_json_get_str(o, "status", &status, NULL) < 0 || !status)
		return NULL;
	return strdup(status);
}

static bool has_dir(const struct sk_crun_unit *c)
{
	struct stat st;

	return stat(c->u->dir, &st) == 0;
}

enum sk_runtime_found sk_crun_recover(struct sk_runtime_unit *u, int *ret_code)
{
	struct sk_crun_unit *c = u->priv;
	_cleanup_free_ char *status = NULL;
	long conmon, pid, code;

	if (!has_dir(c))
		return SK_RUNTIME_NOTHING;
	/* Held first: what is found out about them holds for as long as they are. */
	if (sk_crun_read_number(c, "conmon.pid", &conmon) == 0 &&
	    sk_crun_read_number(c, "pid", &pid) == 0 &&
	    sk_crun_hold(c, (pid_t)conmon, (pid_t)pid) == 0 && sk_crun_is_monitor(c, (pid_t)conmon))
		status = ask_status(c);
	if (status && (sk_streq(status, "created") || sk_streq(status, "running")) &&
	    sk_crun_watch(c) == 0)
		return *status == 'c' ? SK_RUNTIME_PREPARED : SK_RUNTIME_RUNNING;
	sk_crun_let_loose(c);
	if (sk_crun_read_number(c, "exit", &code) < 0)
		return SK_RUNTIME_LEFTOVERS;
	*ret_code = (int)code;
	return SK_RUNTIME_ENDED;
}
