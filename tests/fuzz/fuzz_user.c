/* SPDX-License-Identifier: Apache-2.0 */

/* Three texts with NULs between: a user to look up, /etc/passwd, /etc/group of a hostile image */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/runtime/container/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = calloc(1, size + 3);
	const char *spec = text, *passwd, *group;
	struct sk_err err = SK_ERR_INIT;
	struct sk_user u;

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	passwd = spec + strlen(spec) + (strlen(spec) < size);
	group = passwd + strlen(passwd) + (passwd + strlen(passwd) < text + size);
	if (sk_user_lookup(passwd, group, spec, &u, &err) < 0)
		return 0;
	if (u.uid > SK_USER_ID_MAX || u.gid > SK_USER_ID_MAX || u.n_groups > SK_USER_GROUPS_MAX ||
	    strlen(u.home) >= sizeof(u.home))
		abort();
	return 0;
}
