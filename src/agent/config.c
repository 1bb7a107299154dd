/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/str.h"

#define TOKEN_MAX 512

static int set_string(void *at, const char *value, struct sk_err *err)
{
	char **s = at;

	free(*s);
	*s = *value ? strdup(value) : NULL;
	return *value && !*s ? sk_err_oom(err) : 0;
}

static int set_time(void *at, const char *value, struct sk_err *err)
{
	uint64_t ms;

	if (sk_parse_duration(value, &ms) < 0 || ms == 0 || ms > UINT64_C(7) * 86400000)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "\"%s\" is no time: write one as 30s, 5m or 1h", value);
	*(uint64_t *)at = ms;
	return 0;
}

/* Separated by blanks: a device type has a comma of its own ("vendor,board"). */
static int set_words(void *at, const char *value, struct sk_err *err)
{
	char ***v = at;

	sk_strv_free(*v);
	*v = NULL;
	return sk_strv_split(value, ' ', v) < 0 ? sk_err_oom(err) : 0;
}

/* From a file, so that it need not stand in one that everybody reads. */
static int set_token_file(void *at, const char *value, struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = sk_file_read(AT_FDCWD, value, TOKEN_MAX, &text, &len);

	/* After enrolment the token is spent, so a missing file is no failure. */
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read %s: %s", value, strerror(-r));
	text[strcspn(text, "\r\n")] = '\0';
	return set_string(at, text, err);
}

#define AT(member) offsetof(struct sk_agent_config, member)

static const struct {
	const char *key;
	int (*set)(void *at, const char *value, struct sk_err *err);
	size_t offset;
} settings[] = {
	{ "hub", set_string, AT(hub) },
	{ "ca-file", set_string, AT(ca_file) },
	{ "name", set_string, AT(name) },
	{ "organisation", set_string, AT(organisation) },
	{ "token", set_string, AT(token) },
	{ "token-file", set_token_file, AT(token) },
	{ "compatible", set_words, AT(compatible) },
	{ "state-dir", set_string, AT(state_dir) },
	{ "socket", set_string, AT(socket) },
	{ "poll", set_time, AT(poll_ms) },
	{ "retry-min", set_time, AT(retry_min_ms) },
	{ "retry-max", set_time, AT(retry_max_ms) },
	{ "inventory", set_time, AT(inventory_ms) },
};

static int set(void *arg, const char *key, const char *value, struct sk_err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		int r;

		if (!sk_streq(settings[i].key, key))
			continue;
		r = settings[i].set((char *)arg + settings[i].offset, value, err);
		return r < 0 ? sk_err_prefix(err, "%s", key) : 0;
	}
	return sk_err_set(err, -EINVAL, "bad-value", "there is no setting \"%s\"", key);
}

/* Without TLS tokens and sessions go in the clear: only over loopback. */
static int check_hub(const char *hub, struct sk_err *err)
{
	static const char *const local[] = { "http://127.0.0.1", "http://localhost",
					     "http://[::1]" };

	if (!sk_str_starts(hub, "http://"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(local); i++) {
		size_t n = strlen(local[i]);

		if (sk_str_starts(hub, local[i]) && strchr(":/", hub[n])) /* or its end */
			return 0;
	}
	return sk_err_set(err, -EINVAL, "bad-value",
			  "hub = %s: without https anybody on the way can read the device's tokens",
			  hub);
}

static int add_defaults(struct sk_agent_config *c)
{
	char host[SK_NAME_MAX + 1] = "";

	if (!c->name && gethostname(host, sizeof(host) - 1) == 0)
		c->name = strdup(host);
	if (!c->state_dir)
		c->state_dir = strdup("/var/lib/skerry-agent");
	if (!c->socket)
		c->socket = strdup("/run/skerry/skerry.sock");
	return c->name && c->state_dir && c->socket ? 0 : -ENOMEM;
}

int sk_agent_config_load(const char *path, struct sk_agent_config *ret, struct sk_err *err)
{
	int r;

	*ret = (struct sk_agent_config){
		.poll_ms = 55000,
		.retry_min_ms = 5000,
		.retry_max_ms = 300000,
		.inventory_ms = 600000,
	};
	r = sk_conf_read(path, set, ret, err);
	if (r == 0 && !ret->hub)
		r = sk_err_set(err, -EINVAL, "bad-value",
			       "%s does not say where the hub is: hub = https://…", path);
	if (r == 0)
		r = check_hub(ret->hub, err);
	if (r == 0 && ret->retry_max_ms < ret->retry_min_ms)
		ret->retry_max_ms = ret->retry_min_ms;
	if (r == 0 && add_defaults(ret) < 0)
		r = sk_err_oom(err);
	if (r < 0)
		sk_agent_config_done(ret);
	return r;
}

void sk_agent_config_done(struct sk_agent_config *c)
{
	free(c->hub);
	free(c->ca_file);
	free(c->name);
	free(c->organisation);
	free(c->token);
	sk_strv_free(c->compatible);
	free(c->state_dir);
	free(c->socket);
	*c = (struct sk_agent_config){ 0 };
}
