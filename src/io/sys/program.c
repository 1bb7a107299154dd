/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sys/program.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

static char *find_in(const char *dir, const char *name)
{
	_cleanup_free_ char *full = sk_asprintf("%s/%s", dir, name);

	return full && access(full, X_OK) == 0 ? TAKE_PTR(full) : NULL;
}

char *sk_program_find(const char *name, const char *more)
{
	_cleanup_strv_ char **dirs = NULL;
	const char *path = getenv("PATH");
	char *found = NULL;

	if (strchr(name, '/'))
		return access(name, X_OK) == 0 ? strdup(name) : NULL;
	if (sk_strv_split(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin", ':', &dirs) < 0)
		return NULL;
	SK_STRV_FOREACH (d, dirs)
		if ((found = find_in(*d, name)))
			return found;
	return more ? find_in(more, name) : NULL;
}
