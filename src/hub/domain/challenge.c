/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "hub/domain/proof.h"
#include "hub/domain/secret.h"

/* "<nonce 32 hex>.<expiry ms, hex>.<mac 32 hex>" */
#define NONCE_HEX 32
#define USED_MAX  131072 /* of each list; about 40 MB at the very worst */

/*
 * A used challenge is remembered for at least as long as it is valid: two lists, and every
 * SK_CHALLENGE_VALID_S the older one is thrown away whole.
 */
struct sk_challenges {
	uint8_t key[32]; /* new at each start: challenges of the last run are void */
	pthread_mutex_t lock;
	struct sk_map *used, *used_before;
	uint64_t turned_ms;
};

struct sk_challenges *sk_challenges_new(void)
{
	struct sk_challenges *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	(void)pthread_mutex_init(&c->lock, NULL);
	c->used = sk_map_new(NULL);
	c->used_before = sk_map_new(NULL);
	if (!c->used || !c->used_before || sk_random(c->key, sizeof(c->key), NULL) < 0) {
		sk_challenges_free(c);
		return NULL;
	}
	return c;
}

void sk_challenges_free(struct sk_challenges *c)
{
	if (c->used)
		sk_map_free(c->used);
	if (c->used_before)
		sk_map_free(c->used_before);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

static int mac(const struct sk_challenges *c, const char *text, char ret[static NONCE_HEX + 1])
{
	struct sk_digest out;
	unsigned len = sizeof(out.bytes);

	if (!HMAC(EVP_sha256(), c->key, sizeof(c->key), (const unsigned char *)text, strlen(text),
		  out.bytes, &len))
		return -ENOMEM;
	(void)snprintf(ret, NONCE_HEX + 1, "%.*s", NONCE_HEX, SK_DIGEST_STR(&out));
	return 0;
}

int sk_challenge_new(struct sk_challenges *c, uint64_t now_ms, char ret[static SK_CHALLENGE_MAX],
		     struct sk_err *err)
{
	struct sk_digest nonce = { 0 };
	char text[NONCE_HEX + 24], sum[NONCE_HEX + 1];
	int r = sk_random(nonce.bytes, NONCE_HEX / 2, err);

	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%.*s.%" PRIx64, NONCE_HEX, SK_DIGEST_STR(&nonce),
		       now_ms + SK_CHALLENGE_VALID_S * 1000u);
	if (mac(c, text, sum) < 0)
		return sk_err_oom(err);
	(void)snprintf(ret, SK_CHALLENGE_MAX, "%.*s.%s", NONCE_HEX + 23, text, sum);
	return 0;
}

static int challenge_refuse(struct sk_err *err)
{
	return sk_err_set(err, -EACCES, "unauthorized",
			  "the challenge is not (or no longer) valid: ask for a new one");
}

int sk_challenge_check(struct sk_challenges *c, const char *challenge, uint64_t now_ms,
		       struct sk_err *err)
{
	const char *dot = strrchr(challenge, '.');
	char text[64], sum[NONCE_HEX + 1], *end;
	uint64_t expires;

	if (!dot || (size_t)(dot - challenge) >= sizeof(text) || dot - challenge < NONCE_HEX + 2 ||
	    strlen(dot + 1) != NONCE_HEX || challenge[NONCE_HEX] != '.')
		return challenge_refuse(err);
	(void)snprintf(text, sizeof(text), "%.*s", (int)(dot - challenge), challenge);
	if (mac(c, text, sum) < 0)
		return sk_err_oom(err);
	if (CRYPTO_memcmp(sum, dot + 1, NONCE_HEX) != 0)
		return challenge_refuse(err);
	expires = strtoull(text + NONCE_HEX + 1, &end, 16);
	return *end || expires <= now_ms ? challenge_refuse(err) : 0;
}

/* Without memory for a new list both stay: challenges are remembered longer than needed. */
static void turn(struct sk_challenges *c, uint64_t now_ms)
{
	struct sk_map *fresh;

	if (now_ms - c->turned_ms < SK_CHALLENGE_VALID_S * 1000u)
		return;
	fresh = sk_map_new(NULL);
	if (!fresh)
		return;
	sk_map_free(c->used_before);
	c->used_before = c->used;
	c->used = fresh;
	c->turned_ms = now_ms;
}

static char present;

static int remember(struct sk_challenges *c, const char *challenge)
{
	if (sk_map_get(c->used, challenge) || sk_map_get(c->used_before, challenge))
		return -EEXIST;
	if (sk_map_len(c->used) >= USED_MAX)
		return -EAGAIN;
	return sk_map_add(c->used, challenge, &present);
}

int sk_challenge_use(struct sk_challenges *c, const char *challenge, uint64_t now_ms,
		     struct sk_err *err)
{
	int r;

	(void)pthread_mutex_lock(&c->lock);
	turn(c, now_ms);
	r = remember(c, challenge);
	(void)pthread_mutex_unlock(&c->lock);
	if (r == -EAGAIN)
		return sk_err_set(err, r, "too-many", "too many sessions at once: try again later");
	if (r == -EEXIST)
		return challenge_refuse(err);
	return r < 0 ? sk_err_oom(err) : 0;
}
