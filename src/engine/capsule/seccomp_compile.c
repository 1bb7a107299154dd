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

#include "engine/capsule/seccomp_rules.h"

#define PROGRAM_MAX 65536

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

static int fill(scmp_filter_ctx ctx)
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

static void print_base64(const unsigned char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	/* Whole instructions are 8 bytes: what is short of three is padded with '='. */
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i;
		uint32_t v = (uint32_t)data[i] << 16 | (n > 1 ? data[i + 1] << 8 : 0) |
			     (n > 2 ? data[i + 2] : 0);

		(void)printf("%s%c%c%c%c%s", i % 60 == 0 ? "\t\"" : "", digits[v >> 18],
			     digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
			     n > 2 ? digits[v & 63] : '=', i % 60 == 57 || n <= 3 ? "\"\n" : "");
	}
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
	print_base64(program, len);
	(void)printf("\t\"\";\n");
	return 0;
}

int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r = ctx && argc > 1 ? architectures(ctx, argv + 1) : -EINVAL;

	if (r == 0)
		r = fill(ctx);
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
