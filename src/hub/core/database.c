/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/core/database.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "hub/db/sqlite/sqlite.h"

int sk_hub_open_db(const struct sk_hub_config *config, struct sk_db **ret, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/hub.db", config->data);
	int r;

	if (!path)
		return sk_err_oom(err);
	r = sk_mkdir_p(AT_FDCWD, config->data, 0700);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot make %s: %s", config->data, strerror(-r));
	return sk_sqlite_open(path, ret, err);
}
