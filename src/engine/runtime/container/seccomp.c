/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/seccomp.h"

#include <errno.h>

#include "base/macros.h"
#include "engine/runtime/container/seccomp_rules.h"
#include "io/json.h"

/*
 * A process that makes a call in another architecture's way is killed. 32-bit ARM programs are
 * common on 64-bit devices; 32-bit x86 ones are not, and their ways in are rarely looked at.
 * The build names the same to seccomp_compile (meson.build).
 */
static const char *const architectures[] = {
#if defined(__x86_64__)
	"SCMP_ARCH_X86_64",
#elif defined(__aarch64__)
	"SCMP_ARCH_AARCH64",
	"SCMP_ARCH_ARM",
#elif defined(__arm__)
	"SCMP_ARCH_ARM",
#elif defined(__riscv)
	"SCMP_ARCH_RISCV64",
#else
#error "seccomp: this architecture is not known"
#endif
	NULL,
};

/* @v ends with NULL */
static json_t *names(const char *const *v)
{
	_cleanup_json_ json_t *list = json_array();

	for (; list && *v; v++)
		if (json_array_append_new(list, json_string(*v)) < 0)
			return NULL;
	return TAKE_PTR(list);
}

static int profile_add(json_t *rules, json_t *rule)
{
	return json_array_append_new(rules, rule);
}

static json_t *refuse(json_t *calls, int error)
{
	return json_pack("{so ss si}", "names", calls, "action", "SCMP_ACT_ERRNO", "errnoRet",
			 error);
}

/* NONE_OF in the words of the OCI: masked by "value" it equals "valueTwo", which is 0. */
static json_t *allow_if(const struct sk_seccomp_condition *c)
{
	static const char *const ops[] = { "SCMP_CMP_EQ", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ" };

	return json_pack("{s[s] ss s[{si sI si ss}]}", "names", c->name, "action", "SCMP_ACT_ALLOW",
			 "args", "index", 0, "value", (json_int_t)c->value, "valueTwo", 0, "op",
			 ops[c->test]);
}

static int add_all(json_t *rules)
{
	int r = profile_add(rules, json_pack("{so ss}", "names", names(sk_seccomp_allowed),
					     "action", "SCMP_ACT_ALLOW"));

	if (r == 0)
		r = profile_add(rules, refuse(names(sk_seccomp_refused), EPERM));
	if (r == 0)
		r = profile_add(rules, refuse(json_pack("[s]", SK_SECCOMP_UNKNOWN), ENOSYS));
	for (const struct sk_seccomp_condition *c = sk_seccomp_conditions; r == 0 && c->name; c++)
		r = profile_add(rules, allow_if(c));
	return r;
}

json_t *sk_seccomp_profile(void)
{
	_cleanup_json_ json_t *rules = json_array(), *arch = names(architectures);

	if (!rules || add_all(rules) < 0)
		return NULL;
	return json_pack("{ss si sO sO}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet",
			 ENOSYS, "architectures", arch, "syscalls", rules);
}
