/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * The program that the start benchmarks run: it prints the monotonic clock in nanoseconds as its
 * first act, so that "first output" is read from the output itself, the same for every runtime.
 *
 *   firstlight                   prints, ends
 *   firstlight stay [FILE]       prints, stays until SIGTERM, prints "end" and the clock as its last act;
 *                                the same into FILE
 *   firstlight then PROGRAM ...  prints, becomes PROGRAM: the clock just before a peer starts
 */
static int log_fd = -1;

static int print_clock(const char *word)
{
	struct timespec ts;
	char line[48];
	int n;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		return 1;
	n = snprintf(line, sizeof(line), "%s%lld\n", word,
		     (long long)ts.tv_sec * 1000000000 + ts.tv_nsec);
	if (log_fd >= 0 && write(log_fd, line, (size_t)n) != n)
		return 1;
	return write(STDOUT_FILENO, line, (size_t)n) == n ? 0 : 1;
}

static int stay(const char *file)
{
	sigset_t set;
	int sig;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if (file)
		log_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if ((file && log_fd < 0) || print_clock("") != 0)
		return 1;
	(void)sigwait(&set, &sig);
	return print_clock("end ");
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "stay") == 0)
		return stay(argv[2]);
	if (print_clock("") != 0)
		return 1;
	if (argc < 3)
		return 0;
	(void)execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
