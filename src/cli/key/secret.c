/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "base/file.h"
#include "base/str.h"

#define PASSPHRASE_MIN 8
#define FILE_MAX       4096

static int take(const char *s, size_t len, char *buf, size_t size)
{
	if (len > size)
		return -E2BIG;
	memcpy(buf, s, len);
	return (int)len;
}

static int secret_from_file(const char *file, char *buf, size_t size)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = sk_file_read(AT_FDCWD, file, FILE_MAX, &text, &len);

	if (r < 0)
		return r;
	r = take(text, strcspn(text, "\r\n"), buf, size);
	explicit_bzero(text, len);
	return r;
}

/* A line from the terminal, not shown. */
static int read_hidden(int fd, char *buf, size_t size)
{
	struct termios was, hidden;
	size_t n = 0;
	char c;

	if (tcgetattr(fd, &was) < 0)
		return -errno;
	hidden = was;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(fd, TCSAFLUSH, &hidden);
	while (read(fd, &c, 1) == 1 && c != '\n')
		if (n < size)
			buf[n++] = c;
	(void)tcsetattr(fd, TCSAFLUSH, &was);
	(void)dprintf(fd, "\n");
	return (int)n;
}

static int from_terminal(const char *question, const char *what, char *buf, size_t size)
{
	_cleanup_close_ int fd = -1;

	if (!isatty(STDERR_FILENO))
		return -ENOTTY;
	fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	(void)dprintf(fd, "%s %s: ", question, what);
	return read_hidden(fd, buf, size);
}

/* 0 and more: its length; -ENODATA: neither file nor environment has one. */
static int from_settings(const struct sk_secret_from *from, char *buf, size_t size)
{
	const char *env = getenv(SK_PASSPHRASE_ENV);

	if (from->file)
		return secret_from_file(from->file, buf, size);
	return env ? take(env, strlen(env), buf, size) : -ENODATA;
}

static int get(void *arg, const char *what, char *buf, size_t size)
{
	int n = from_settings(arg, buf, size);

	return n == -ENODATA ? from_terminal("Passphrase or PIN of", what, buf, size) : n;
}

struct sk_secret sk_cli_secret(const struct sk_secret_from *from)
{
	return (struct sk_secret){ .get = get, .arg = (void *)from };
}

static int ask_twice(const char *what, char *buf, size_t size, struct sk_err *err)
{
	char again[SK_PASSPHRASE_MAX];
	int n = from_terminal("New passphrase for", what, buf, size), m;
	bool same;

	if (n < 0)
		return sk_err_set(
			err, n, "bad-value",
			"no passphrase: give --passphrase-file or set " SK_PASSPHRASE_ENV);
	m = from_terminal("Again, for", what, again, sizeof(again));
	same = m == n && memcmp(buf, again, (size_t)n) == 0;
	explicit_bzero(again, sizeof(again));
	return same ? n : sk_err_set(err, -EINVAL, "bad-value", "the two are not the same");
}

int sk_cli_new_secret(const struct sk_secret_from *from, const char *what,
		      char buf[static SK_PASSPHRASE_MAX + 1], struct sk_err *err)
{
	int n = from_settings(from, buf, SK_PASSPHRASE_MAX);

	if (n == -ENODATA)
		n = ask_twice(what, buf, SK_PASSPHRASE_MAX, err);
	else if (n < 0)
		return sk_err_set(err, n, "bad-value", "cannot read the passphrase from %s: %s",
				  from->file ? from->file : SK_PASSPHRASE_ENV, strerror(-n));
	if (n < 0)
		return n;
	buf[n] = '\0';
	if (n < PASSPHRASE_MIN || strlen(buf) != (size_t)n)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "a passphrase has %d characters at least", PASSPHRASE_MIN);
	return 0;
}
