/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An unpacker that a hostile archive has got hold of, in the place of skerry-unpack: the "archive" says
 * what to do. Its first line is the exit status and how many bytes of the rest go to standard output;
 * what is left of it becomes the image.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARCHIVE_FD 3
#define IMAGE_FD   4

/* To the last byte, or until nobody takes any more. */
static void pass(FILE *from, int to, size_t n)
{
	char buf[65536];
	size_t got;

	while (n > 0 && (got = fread(buf, 1, n < sizeof(buf) ? n : sizeof(buf), from)) > 0) {
		for (size_t at = 0; at < got;) {
			ssize_t w = write(to, buf + at, got - at);

			if (w <= 0)
				return;
			at += (size_t)w;
		}
		n -= got;
	}
}

int main(void)
{
	FILE *archive = fdopen(ARCHIVE_FD, "r");
	size_t said;
	int status;

	if (!archive || fscanf(archive, "%d %zu", &status, &said) != 2 || fgetc(archive) != '\n')
		return 90;
	pass(archive, STDOUT_FILENO, said);
	pass(archive, IMAGE_FD, (size_t)-1);
	return status;
}
