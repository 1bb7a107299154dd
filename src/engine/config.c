/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/config.h"

#include <errno.h>
#include <string.h>

#include "base/conf.h"
#include "base/str.h"

#define UID_BASE     1879048192u /* above what distributions hand out for users and containers */
#define UID_BASE_MIN 65536u
#define UID_BASE_MAX 4000000000u

struct setting {
	const char *key;
	int (*set)(struct sk_daemon_config *c, size_t offset, const char *value);
	size_t offset;
	const char *expect; /* for the message */
};

static void *at(struct sk_daemon_config *c, size_t offset)
{
	return (char *)c + offset;
}

static int replace(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static int set_path(struct sk_daemon_config *c, size_t offset, const char *value)
{
	return *value == '/' ? replace(at(c, offset), value) : -EINVAL;
}

static int set_word(struct sk_daemon_config *c, size_t offset, const char *value)
{
	return *value ? replace(at(c, offset), value) : -EINVAL;
}

static int set_name(struct sk_daemon_config *c, size_t offset, const char *value)
{
	return replace(at(c, offset), sk_streq(value, "-") ? "" : value);
}

/* "acme,gateway,skerry,virtual" is two types: "acme,gateway" and "skerry,virtual". */
static int set_compatible(struct sk_daemon_config *c, size_t offset, const char *value)
{
	_cleanup_strv_ char **parts = NULL, **types = NULL;

	if (sk_strv_split(value, ',', &parts) < 0)
		return -ENOMEM;
	if (sk_strv_len(parts) == 0 || sk_strv_len(parts) % 2 != 0)
		return -EINVAL;
	for (size_t i = 0; parts[i]; i += 2)
		if (sk_strv_addf(&types, "%s,%s", parts[i] + strspn(parts[i], " \t"),
				 parts[i + 1]) < 0)
			return -ENOMEM;
	sk_strv_free(c->compatible);
	c->compatible = TAKE_PTR(types);
	return 0;
}

static int set_uid(struct sk_daemon_config *c, size_t offset, const char *value)
{
	uint32_t v;
	int r = sk_parse_u32(value, &v);

	if (r < 0 || v < UID_BASE_MIN || v > UID_BASE_MAX)
		return -EINVAL;
	*(uint32_t *)at(c, offset) = v;
	return 0;
}

static int set_size(struct sk_daemon_config *c, size_t offset, const char *value)
{
	uint64_t v;

	if (sk_parse_size(value, &v) < 0 || v < 4096)
		return -EINVAL;
	*(uint64_t *)at(c, offset) = v;
	return 0;
}

static int set_limits(struct sk_daemon_config *c, size_t offset, const char *value)
{
	if (!sk_streq(value, "strict") && !sk_streq(value, "best-effort"))
		return -EINVAL;
	*(bool *)at(c, offset) = sk_streq(value, "best-effort");
	return 0;
}

static int set_clock(struct sk_daemon_config *c, size_t offset, const char *value)
{
	enum sk_clock_policy *policy = at(c, offset);

	if (sk_streq(value, "auto"))
		*policy = SK_CLOCK_AUTO;
	else if (sk_streq(value, "trusted"))
		*policy = SK_CLOCK_TRUSTED;
	else if (sk_streq(value, "untrusted"))
		*policy = SK_CLOCK_UNTRUSTED;
	else
		return -EINVAL;
	return 0;
}

#define ROW(key, set, member, expect)                                        \
	{                                                                    \
		key, set, offsetof(struct sk_daemon_config, member), expect, \
	}

static const struct setting settings[] = {
	ROW("agent-user", set_name, agent_user, "a user, or - for none"),
	ROW("clock", set_clock, clock, "auto, trusted or untrusted"),
	ROW("compatible", set_compatible, compatible, "pairs: vendor,device[,vendor,device]"),
	ROW("limits", set_limits, limits_best_effort, "strict or best-effort"),
	ROW("log-dir", set_path, log_dir, "an absolute path"),
	ROW("log-size-max", set_size, log_size_max, "a size such as 1M, at least 4K"),
	ROW("monitor", set_word, monitor, "a program"),
	ROW("run-dir", set_path, run_dir, "an absolute path"),
	ROW("runtime", set_word, runtime, "a program"),
	ROW("socket", set_path, socket, "an absolute path"),
	ROW("socket-group", set_name, socket_group, "a group, or - for none"),
	ROW("state-dir", set_path, state_dir, "an absolute path"),
	ROW("trust-dir", set_path, trust_dir, "an absolute path"),
	ROW("uid-base", set_uid, uid_base, "a number from 65536 to 4000000000"),
	ROW("unpacked-max", set_size, unpacked_max, "a size such as 4G"),
	ROW("unpacker", set_word, unpacker, "a program"),
};

int sk_daemon_config_init(struct sk_daemon_config *c)
{
	*c = (struct sk_daemon_config){
		.uid_base = UID_BASE,
		.log_size_max = 1 << 20,
		.unpacked_max = 4ull << 30,
	};
	if (replace(&c->state_dir, "/var/lib/skerry") < 0 ||
	    replace(&c->run_dir, "/run/skerry") < 0 ||
	    replace(&c->log_dir, "/var/log/skerry") < 0 ||
	    replace(&c->trust_dir, "/etc/skerry/trust") < 0 ||
	    replace(&c->socket, "/run/skerry/skerry.sock") < 0 ||
	    replace(&c->socket_group, "skerry") < 0 ||
	    replace(&c->agent_user, "skerry-agent") < 0 || replace(&c->runtime, "crun") < 0 ||
	    replace(&c->monitor, "conmon") < 0 || replace(&c->unpacker, "skerry-unpack") < 0) {
		sk_daemon_config_done(c);
		return -ENOMEM;
	}
	return 0;
}

void sk_daemon_config_done(struct sk_daemon_config *c)
{
	sk_strv_free(c->compatible);
	free(c->state_dir);
	free(c->run_dir);
	free(c->log_dir);
	free(c->trust_dir);
	free(c->socket);
	free(c->socket_group);
	free(c->agent_user);
	free(c->runtime);
	free(c->monitor);
	free(c->unpacker);
	*c = (struct sk_daemon_config){ 0 };
}

static int apply(void *arg, const char *key, const char *value, struct sk_err *err)
{
	struct sk_daemon_config *c = arg;

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		int r;

		if (!sk_streq(settings[i].key, key))
			continue;
		r = settings[i].set(c, settings[i].offset, value);
		if (r == -ENOMEM)
			return sk_err_oom(err);
		if (r < 0)
			return sk_err_set(err, r, "bad-value",
					  "\"%s\" is not a value of %s; write %s", value, key,
					  settings[i].expect);
		return 0;
	}
	return sk_err_set(err, -EINVAL, "bad-value", "there is no setting \"%s\"", key);
}

int sk_daemon_config_parse(struct sk_daemon_config *c, const char *name, const char *text,
			   struct sk_err *err)
{
	return sk_conf_parse(name, text, apply, c, err);
}

int sk_daemon_config_read(struct sk_daemon_config *c, const char *path, bool required,
			  struct sk_err *err)
{
	int r = sk_conf_read(path, apply, c, err);

	return r == -ENOENT && !required ? 0 : r;
}
