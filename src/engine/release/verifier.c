/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/release/verifier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/crypto/cms.h"

/** struct sk_verifier - @trust: NULL: could not be loaded yet */
struct sk_verifier {
	struct sk_trust *trust;
	char *trust_dir;
	char *const *compatible;
	enum sk_clock_policy clock;
	bool has_os_slots;
	void (*floor)(void *arg, struct sk_release_floor *ret);
	void *floor_arg;
};

int sk_verifier_new(const struct sk_verifier_config *config, struct sk_verifier **ret,
		    struct sk_err *err)
{
	_cleanup_(sk_verifier_freep) struct sk_verifier *v = calloc(1, sizeof(*v));
	struct sk_err why = SK_ERR_INIT;

	if (!v)
		return sk_err_oom(err);
	v->compatible = config->compatible;
	v->clock = config->clock;
	v->has_os_slots = config->has_os_slots;
	v->trust_dir = strdup(config->trust_dir);
	if (!v->trust_dir)
		return sk_err_oom(err);
	if (sk_verifier_refresh(v, &why) < 0)
		sk_warning("no release can be taken in: %s", why.text);
	*ret = TAKE_PTR(v);
	return 0;
}

void sk_verifier_free(struct sk_verifier *v)
{
	if (!v)
		return;
	if (v->trust)
		sk_trust_free(v->trust);
	free(v->trust_dir);
	free(v);
}

void sk_verifier_set_floor(struct sk_verifier *v,
			   void (*fn)(void *arg, struct sk_release_floor *ret), void *arg)
{
	v->floor = fn;
	v->floor_arg = arg;
}

static struct sk_release_floor verifier_floor(const struct sk_verifier *v)
{
	struct sk_release_floor floor = { 0 };

	if (v->floor)
		v->floor(v->floor_arg, &floor);
	return floor;
}

static bool kernel_synchronised(void)
{
	struct timex tx = { 0 };
	int state = adjtimex(&tx);

	return state >= 0 && state != TIME_ERROR && !(tx.status & STA_UNSYNC);
}

static bool verifier_clock_trusted(const struct sk_verifier *v,
				   const struct sk_release_floor *floor)
{
	if (v->clock == SK_CLOCK_UNTRUSTED || sk_wall_s() < floor->created_s)
		return false;
	return v->clock == SK_CLOCK_TRUSTED || kernel_synchronised();
}

bool sk_verifier_clock_trusted(const struct sk_verifier *v)
{
	struct sk_release_floor floor = verifier_floor(v);

	return verifier_clock_trusted(v, &floor);
}

int64_t sk_verifier_now_s(const struct sk_verifier *v)
{
	return sk_verifier_clock_trusted(v) ? sk_wall_s() : 0;
}

void sk_verifier_facts(const struct sk_verifier *v, struct sk_device_facts *ret)
{
	struct sk_release_floor floor = verifier_floor(v);

	*ret = (struct sk_device_facts){
		.compatible = v->compatible,
		.project = floor.project,
		.version = floor.version,
		.has_os_slots = v->has_os_slots,
		.now_s = verifier_clock_trusted(v, &floor) ? sk_wall_s() : 0,
	};
}

int sk_verifier_refresh(struct sk_verifier *v, struct sk_err *err)
{
	int r;

	if (!v->trust)
		return sk_trust_load(v->trust_dir, &v->trust, err);
	r = sk_trust_refresh(&v->trust, err);
	if (r > 0)
		sk_notice("%s has changed and was read again", v->trust_dir);
	return SK_MIN(r, 0);
}

struct sk_trust *sk_verifier_trust(const struct sk_verifier *v)
{
	return v->trust;
}

int sk_verifier_check(const struct sk_verifier *v, const void *der, size_t len,
		      struct sk_release **ret, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	_cleanup_free_ void *content = NULL;
	_cleanup_free_ char *signer = NULL;
	struct sk_device_facts facts;
	size_t content_len;
	int r;

	if (!v->trust)
		return sk_err_set(err, -ENOENT, "not-found", "no roots of trust were read");
	sk_verifier_facts(v, &facts);
	r = sk_cms_verify(der, len, SK_MANIFEST_SIZE_MAX, v->trust, facts.now_s, &content,
			  &content_len, &signer, err);
	if (r < 0)
		return r;
	r = sk_release_parse(content, content_len, &rel, err);
	if (r < 0)
		return r;
	r = sk_release_suits(rel->manifest, &facts, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rel);
	return 0;
}

int sk_verifier_recheck(struct sk_verifier *v, struct sk_store *store, const struct sk_digest *id,
			struct sk_release **ret, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	_cleanup_free_ char *der = NULL;
	size_t len;
	int r;

	r = sk_verifier_refresh(v, err);
	if (r < 0)
		return r;
	r = sk_store_get_release(store, id, &der, &len, err);
	if (r < 0)
		return r;
	r = sk_verifier_check(v, der, len, &rel, err);
	if (r < 0)
		return r;
	r = sk_release_matches(rel, id, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rel);
	return 0;
}
