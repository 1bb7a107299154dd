/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/api/handlers.h"
#include "io/json.h"
#include "world.h"

static const struct spec one = { "1.0", { "d1", "w1", "j1" } };
static const struct spec two = { "2.0", { "d1", "w2", "j1" } };

static void flip(const char *path, off_t at)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 0x10;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
}

/* One byte of its file turns over, and a check finds that. */
static void lose(const struct sk_digest *id, off_t at)
{
	_cleanup_free_ char *path = release_path(id);
	struct sk_err err = SK_ERR_INIT;

	flip(path, at);
	assert_int_equal(sk_store_verify_release(w.store, id, &err), -EBADMSG);
	assert_string_equal(err.slug, "damaged");
}

static struct sk_digest release_of(uint64_t number)
{
	return sk_generations_get(w.u->gens, number)->release;
}

/* All of "missing_releases", as one text. */
static char *missed(void)
{
	_cleanup_json_ json_t *j = sk_api_missing_releases_json(&w.api);

	return json_dumps(j, JSON_COMPACT);
}

static void assert_missed(const struct sk_digest *id)
{
	_cleanup_free_ char *text = missed();
	_cleanup_free_ char *want = id ? sk_asprintf("[\"%s\"]", SK_DIGEST_STR(id)) : strdup("[]");

	assert_string_equal(text, want);
}

static size_t images_missed(void)
{
	_cleanup_json_ json_t *j = sk_api_missing_images_json(&w.api);

	return json_array_size(j);
}

static char *signed_by_a_stranger(const struct spec *s, size_t *ret_len)
{
	struct spec other = *s;

	other.stranger = true;
	return (char *)make_release(&other, ret_len);
}

/* Wherever the byte is, in the manifest, the signature or the seal: missed, and it comes back; nothing is restarted. */
static void of_the_running_generation(void **state)
{
	struct sk_digest id, got;
	size_t len;

	go(&one);
	id = release_of(1);
	free(make_release(&one, &len));
	for (size_t at = 0; at < len + SK_DIGEST_SIZE - 8; at += 37) {
		lose(&id, (off_t)at);
		assert_missed(&id);
		assert_int_equal(images_missed(), 0);
		sk_buf_done(&fake_trace);
		assert_int_equal(intake(&one, &got, NULL), 0);
		run_until_idle();
		assert_missed(NULL);
		assert_int_equal(fake_trace.len, 0);
	}
	expect_running(&one);
	power_cut();
	run_until_idle();
	expect_running(&one);
}

/* The one that would be gone back to: it is older than what runs, and comes back all the same, in time. */
static void of_the_generation_to_fall_back_to(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id, got;

	go(&one);
	id = release_of(1);
	apply(&two);
	lose(&id, 40);
	assert_missed(&id);
	assert_int_equal(intake(&one, &got, &err), 0);
	assert_missed(NULL);
	fake_sick = "web";
	run_until_idle();
	fake_sick = NULL;
	assert_int_equal(sk_generations_get(w.u->gens, 2)->state, SK_GEN_BAD);
	expect_running(&one);
	/* A bad one is not missed, and nothing older comes in but what was here. */
	go(&two);
	assert_int_equal(sk_generations_running(w.u->gens)->number, 3);
	lose(&id, 40);
	assert_missed(&id);
	assert_int_equal(intake(&(struct spec){ "1.0", { "d1", "w9" } }, &got, &err), -EPERM);
	assert_string_equal(err.slug, "downgrade");
	assert_int_equal(intake(&one, &got, &err), 0);
	assert_missed(NULL);
}

/* Whose signer was revoked since it was good. */
static void of_a_signer_who_was_revoked(void **state)
{
	struct pki_crl_spec revoked = { .issuer = &w.ca,
					.number = 7,
					.revoked = { w.signer.cert } };
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id, got;
	X509_CRL *crl = pki_crl(&revoked);

	go(&one);
	id = release_of(1);
	pki_write_crl(w.trust, crl);
	X509_CRL_free(crl);
	power_cut();
	run_until_idle();
	lose(&id, 40);
	assert_int_equal(intake(&two, &got, &err), -EKEYREJECTED);
	assert_string_equal(err.slug, "revoked");
	assert_missed(&id);
	assert_int_equal(intake(&one, &got, &err), 0);
	assert_missed(NULL);
	power_cut();
	run_until_idle();
	expect_running(&one);
}

/* What is not asked for must be signed: the digest of a manifest that nobody verified here is worth nothing. */
static void of_nobody(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_release *rel = NULL;
	size_t len;
	char *der = signed_by_a_stranger(&two, &len);

	go(&one);
	assert_int_equal(sk_intake_take(w.intake, der, len, &rel, &err), -EKEYREJECTED);
	free(der);
	/* A bad generation is nothing that may come back either. */
	fake_fail_start = "web";
	go(&two);
	fake_fail_start = NULL;
	sk_update_reconcile(w.u);
	run_until_idle();
	assert_int_equal(sk_generations_get(w.u->gens, 2)->state, SK_GEN_BAD);
	der = signed_by_a_stranger(&two, &len);
	assert_int_equal(sk_intake_take(w.intake, der, len, &rel, &err), -EKEYREJECTED);
	assert_int_equal(sk_intake_check(w.intake, der, len, &rel, &err), -EKEYREJECTED);
	free(der);
}

/* A whole file keeps its own signature, whoever sends the same manifest under another one. */
static void a_whole_file_stays(void **state)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL, *back = NULL;
	_cleanup_free_ char *before = NULL, *after = NULL, *der = NULL;
	struct sk_digest id;
	size_t len, before_len, after_len;

	go(&one);
	id = release_of(1);
	assert_int_equal(sk_store_get_release(w.store, &id, &before, &before_len, NULL), 0);
	der = signed_by_a_stranger(&one, &len);
	assert_int_equal(sk_intake_take(w.intake, der, len, &rel, NULL), 0);
	assert_int_equal(sk_store_get_release(w.store, &id, &after, &after_len, NULL), 0);
	assert_int_equal(before_len, after_len);
	assert_memory_equal(before, after, before_len);
	/* Lost, it may come under any: it was verified before. */
	lose(&id, 40);
	assert_int_equal(sk_intake_take(w.intake, der, len, &back, NULL), 0);
	assert_missed(NULL);
	power_cut();
	run_until_idle();
	expect_running(&one);
}

/* Found at the start: passed over, missed, and run again as soon as it is back. */
static void found_at_the_start(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct sk_digest id, got;

	go(&one);
	go(&two);
	id = release_of(2);
	path = release_path(&id);
	flip(path, 40);
	power_cut();
	run_until_idle();
	expect_running(&one);
	assert_missed(&id);
	assert_int_equal(intake(&two, &got, NULL), 0);
	run_until_idle();
	expect_running(&two);
	assert_missed(NULL);
}

/* The newest good one, read only to be told, while another is tried. */
static void found_while_another_is_tried(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct sk_digest id;

	go(&one);
	id = release_of(1);
	apply(&(struct spec){ "2.0", { "d1", "w2", "j1" }, "boot-attempts = <5>;" });
	path = release_path(&id);
	flip(path, 40);
	power_cut();
	assert_missed(&id);
	run_until_idle();
	assert_int_equal(sk_generations_running(w.u->gens)->number, 2);
}

/* Images of the generation that would be gone back to are missed like those of the running one. */
static void images_to_fall_back_to(void **state)
{
	_cleanup_json_ json_t *list = NULL;
	struct sk_image_ref web = make_image("web.itb", "w1", false);

	go(&one);
	go(&two);
	assert_int_equal(images_missed(), 0);
	assert_int_equal(sk_store_remove(w.store, &web.digest, NULL), 0);
	list = sk_api_missing_images_json(&w.api);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "digest")),
			    SK_DIGEST_STR(&web.digest));
	(void)make_image("web.itb", "w1", true);
	assert_int_equal(images_missed(), 0);
	/* Forgotten with the generation. */
	go(&(struct spec){ "3.0", { "d1", "w3", "j1" } });
	assert_false(sk_store_has(w.store, &web.digest));
	assert_int_equal(images_missed(), 0);
}

/* A release that is lost names its images only once it is back. */
static void images_of_a_lost_release(void **state)
{
	struct sk_image_ref web = make_image("web.itb", "w1", false);
	struct sk_digest id, got;

	go(&one);
	go(&two);
	id = release_of(1);
	lose(&id, 40);
	assert_int_equal(sk_store_remove(w.store, &web.digest, NULL), 0);
	sk_missing_forget(w.u->missing);
	assert_int_equal(images_missed(), 0);
	assert_int_equal(intake(&(struct spec){ "1.0", { "d1", "w1", "j1" }, .no_images = true },
				&got, NULL),
			 0);
	assert_int_equal(images_missed(), 1);
}

/* A release kept for later is nobody's generation: its job fetches it again. */
static void a_kept_release_is_not_missed(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;
	uint64_t number;

	go(&one);
	assert_int_equal(intake(&two, &id, NULL), 0);
	lose(&id, 40);
	assert_missed(NULL);
	assert_int_equal(sk_update_apply(w.u, &id, &number, &err), -ENOENT);
	assert_int_equal(intake(&two, &id, NULL), 0);
	assert_int_equal(sk_update_apply(w.u, &id, &number, &err), 0);
	run_until_idle();
	expect_running(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_the_running_generation),    TEST(of_the_generation_to_fall_back_to),
		TEST(of_a_signer_who_was_revoked),  TEST(of_nobody),
		TEST(a_whole_file_stays),	    TEST(found_at_the_start),
		TEST(found_while_another_is_tried), TEST(images_to_fall_back_to),
		TEST(images_of_a_lost_release),	    TEST(a_kept_release_is_not_missed),
	};

	return cmocka_run_group_tests_name("engine/update/missing", tests, NULL, NULL);
}
