/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/boot_id.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

#define RECORD "boot-id"
#define ID_MAX 128

static int read_id(const char *path, char **ret, struct sk_err *err)
{
	int r = sk_file_read(AT_FDCWD, path, ID_MAX, ret, NULL);

	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read the boot id %s: %s", path,
				  strerror(-r));
	return 0;
}

int sk_boot_id_changed(struct sk_store *s, const char *path, bool *ret, struct sk_err *err)
{
	_cleanup_free_ char *now = NULL, *kept = NULL;
	struct sk_err why = SK_ERR_INIT;
	int r = sk_store_get_record(s, RECORD, &kept, NULL, &why);

	if (r == -ENOMEM)
		return sk_err_oom(err);
	r = r < 0 ? r : read_id(path, &now, &why);
	*ret = r < 0 || !*now || !sk_streq(now, kept);
	return 0;
}

int sk_boot_id_keep(struct sk_store *s, const char *path, struct sk_err *err)
{
	_cleanup_free_ char *now = NULL;
	int r = read_id(path, &now, err);

	return r < 0 ? r : sk_store_put_record(s, RECORD, now, strlen(now), err);
}
