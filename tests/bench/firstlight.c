/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/*
 * The program that the start benchmarks run: it prints the monotonic clock in nanoseconds as its
 * first act, so that "first output" is read from the output itself, the same for every runtime.
 * With an argument it then stays until SIGTERM, and prints the clock once more as its last act.
 */
static int print_clock(const char *word)
{
	struct timespec ts;
	char line[48];
	int n;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		return 1;
	n = snprintf(line, sizeof(line), "%s%lld\n", word,
		     (long long)ts.tv_sec * 1000000000 + ts.tv_nsec);
	return write(STDOUT_FILENO, line, (size_t)n) == n ? 0 : 1;
}

int main(int argc, char **argv)
{
	sigset_t set;
	int sig;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if (print_clock("") != 0)
		return 1;
	if (argc < 2)
		return 0;
	(void)sigwait(&set, &sig);
	return print_clock("end ");
}
