/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/*
 * The program that the start benchmarks run: it prints the monotonic clock in nanoseconds as its
 * first act, so that "first output" is read from the output itself, the same for every runtime.
 * With an argument it then stays, until it is told to end.
 */
int main(int argc, char **argv)
{
	struct timespec ts;
	char line[32];
	int n;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		return 1;
	n = snprintf(line, sizeof(line), "%lld\n", (long long)ts.tv_sec * 1000000000 + ts.tv_nsec);
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		return 1;
	if (argc > 1)
		(void)pause();
	return 0;
}
