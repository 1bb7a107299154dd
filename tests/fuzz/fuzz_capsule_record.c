/* SPDX-License-Identifier: Apache-2.0 */

/* The app in a capsule's record: what is read must be written again as the same */
#include <stdint.h>
#include <stdlib.h>

#include "engine/capsule/app.h"
#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ json_t *o = NULL, *first = NULL, *second = NULL;
	struct sk_app app, again;

	if (sk_json_parse((const char *)data, size, &o, NULL) < 0 ||
	    sk_app_from_json(o, &app, NULL) < 0)
		return 0;
	first = sk_app_to_json(&app);
	if (!first || sk_app_from_json(first, &again, NULL) < 0)
		abort();
	second = sk_app_to_json(&again);
	if (!json_equal(first, second))
		abort();
	sk_app_done(&again);
	sk_app_done(&app);
	return 0;
}
