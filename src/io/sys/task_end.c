/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "io/sys/child.h"

/* How a task reports a failure to its parent. A file of its own, for programs that are tasks and start none. */

#define TASK_FAILED 1 /* and its standard output says why */

int sk_task_fail(const struct sk_err *err)
{
	(void)printf("%s %s", err->slug, err->text);
	return TASK_FAILED;
}

/* "slug sentence" */
static int read_failure(const char *out, struct sk_err *err)
{
	char slug[SK_ERR_SLUG_MAX];
	size_t len = strcspn(out, " ");

	if (out[len] == '\0' || len >= sizeof(slug))
		return -EPROTO;
	memcpy(slug, out, len);
	slug[len] = '\0';
	return sk_err_set(err, -EBADMSG, slug, "%s", out + len + 1);
}

int sk_task_verdict(const char *what, int status, const char *out, const char *err_tail,
		    struct sk_err *err)
{
	int r = -EPROTO;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return sk_err_set(err, -EIO, "child-failed",
				  "%s was ended by signal %d (%s); is there memory enough?", what,
				  WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) == TASK_FAILED)
		r = read_failure(out, err);
	return r != -EPROTO ? r
			    : sk_err_set(err, -EIO, "child-failed", "%s failed with status %d: %s",
					 what, WEXITSTATUS(status), err_tail);
}
