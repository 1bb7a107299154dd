/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/macros.h"

#define INPUT_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_input(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int replay(const char *folder, const char *name)
{
	_cleanup_free_ char *data = NULL;
	char path[4096];
	size_t len;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (sk_file_read(AT_FDCWD, path, INPUT_MAX, &data, &len) < 0)
		return -1;
	return LLVMFuzzerTestOneInput((const uint8_t *)data, len);
}

/* Feeds each file of the corpus folder to the target. A finding aborts; an empty corpus fails. */
int main(int argc, char **argv)
{
	struct dirent **entries;
	int failed = 0, n = argc == 2 ? scandir(argv[1], &entries, is_input, alphasort) : -1;

	if (n <= 0) {
		printf("1..0\nBail out! no corpus\n");
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		int r = replay(argv[1], entries[i]->d_name);

		failed |= r;
		printf("%sok %d - %s\n", r ? "not " : "", i + 1, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return failed ? 1 : 0;
}
