/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "store/store.h"

/*
 * store_ingest FILE SHA256 STORE: takes one image into a store, and prints the microseconds from
 * the first byte read until it is hashed, durable, sealed and listed.
 */
int main(int argc, char **argv)
{
	_cleanup_(sk_store_closep) struct sk_store *s = NULL;
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest want;
	struct stat st;
	uint64_t start;
	int fd;

	if (argc != 4 || sk_digest_parse(argv[2], &want) < 0) {
		(void)fputs("usage: store_ingest FILE SHA256 STORE\n", stderr);
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(argv[1]);
		return 1;
	}
	if (sk_store_open(argv[3], &s, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	start = sk_mono_us();
	if (sk_store_add_fd(s, fd, &want, (uint64_t)st.st_size, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	(void)printf("%llu\n", (unsigned long long)(sk_mono_us() - start));
	return 0;
}
