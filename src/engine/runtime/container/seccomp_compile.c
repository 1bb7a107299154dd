/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp_compile ARCHITECTURE [FURTHER]: prints the rules of seccomp_rules.c as a C file with the
 * BPF program for that architecture (a name of libseccomp) in base64. Runs on the machine that
 * builds, for the one that the daemon is built for; errno values are the same on all that Skerry knows.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/macros.h"
#include "engine/runtime/container/seccomp_rules.h"

#define PROGRAM_MAX 65536
#define LINE	    80

static int rule(scmp_filter_ctx ctx, uint32_t action, const char *name,
		const struct scmp_arg_cmp *arg)
{
	int call = seccomp_syscall_resolve_name(name);

	if (call == __NR_SCMP_ERROR)
		return 0; /* not known to this libseccomp: the default holds */
	return seccomp_rule_add_array(ctx, action, call, arg ? 1 : 0, arg);
}

static int rules(scmp_filter_ctx ctx, uint32_t action, const char *const *names)
{
	int r = 0;

	for (; r == 0 && *names; names++)
		r = rule(ctx, action, *names, NULL);
	return r;
}

static struct scmp_arg_cmp argument(const struct sk_seccomp_condition *c)
{
	switch (c->test) {
	case SK_SECCOMP_IS:
		return SCMP_A0(SCMP_CMP_EQ, c->value, 0);
	case SK_SECCOMP_BELOW:
		return SCMP_A0(SCMP_CMP_LT, c->value, 0);
	case SK_SECCOMP_NONE_OF:
		break;
	}
	return SCMP_A0(SCMP_CMP_MASKED_EQ, c->value, 0);
}

static int program_fill(scmp_filter_ctx ctx)
{
	int r = rules(ctx, SCMP_ACT_ALLOW, sk_seccomp_allowed);

	if (r == 0)
		r = rules(ctx, SCMP_ACT_ERRNO(EPERM), sk_seccomp_refused);
	for (const struct sk_seccomp_condition *c = sk_seccomp_conditions; r == 0 && c->name; c++) {
		struct scmp_arg_cmp arg = argument(c);

		r = rule(ctx, SCMP_ACT_ALLOW, c->name, &arg);
	}
	return r;
}

static int architectures(scmp_filter_ctx ctx, char **names)
{
	int r = seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE);

	for (; r == 0 && *names; names++)
		r = seccomp_arch_add(ctx, seccomp_arch_resolve_name(*names));
	return r;
}

static int print_base64(const unsigned char *data, size_t len)
{
	_cleanup_free_ char *text = sk_base64_encode(data, len);

	if (!text)
		return -ENOMEM;
	for (size_t i = 0, n = strlen(text); i < n; i += LINE)
		(void)printf("\t\"%.*s\"\n", LINE, text + i);
	return 0;
}

static int print(scmp_filter_ctx ctx)
{
	static unsigned char program[PROGRAM_MAX];
	FILE *f = tmpfile();
	size_t len = 0;
	int r = f ? seccomp_export_bpf(ctx, fileno(f)) : -errno;

	if (r == 0 && fseek(f, 0, SEEK_SET) == 0)
		len = fread(program, 1, sizeof(program), f);
	if (f)
		(void)fclose(f);
	if (len == 0 || len == sizeof(program))
		return r < 0 ? r : -EFBIG;
	(void)printf("extern const char sk_seccomp_filter[];\nconst char sk_seccomp_filter[] =\n");
	r = print_base64(program, len);
	(void)printf("\t\"\";\n");
	return r;
}

int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r = ctx && argc > 1 ? architectures(ctx, argv + 1) : -EINVAL;

	if (r == 0)
		r = program_fill(ctx);
	/* A tree of comparisons instead of a chain: each call of the capsule is looked up quicker. */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = print(ctx);
	seccomp_release(ctx);
	if (r < 0)
		(void)fprintf(stderr, "seccomp_compile: %s\n", strerror(-r));
	return r < 0 ? 1 : 0;
}
