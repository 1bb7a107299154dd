/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/layout.h"
#include "tar_fixture.h"

static int setup(void **state)
{
	char dir[] = "/tmp/skerry-layout.XXXXXX";

	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	return *state && chdir(*state) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	_cleanup_free_ char *dir = *state;

	return chdir("/") == 0 && sk_rm_rf(AT_FDCWD, dir) == 0 ? 0 : -1;
}

/* Spools the members and reads the layout; the folder is used again by the next. */
static int read_layout(struct sk_buf *b, const char *arch, struct sk_layout *l, struct sk_err *err)
{
	_cleanup_(sk_spool_freep) struct sk_spool *s = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	tar_end(b);
	fd = tar_fd(b);
	assert_int_equal(sk_rm_rf(AT_FDCWD, "spool"), 0);
	assert_int_equal(sk_mkdir_p(AT_FDCWD, "spool", 0700), 0);
	r = sk_spool_read(fd, "spool", 1 << 20, &s, err);
	for (size_t i = 0; r == 0 && i == 0; i++)
		r = sk_layout_read(s, arch, l, err);
	for (size_t i = 0; r == 0 && i < l->n_layers; i++) {
		_cleanup_close_ int layer = -1;

		r = sk_layout_layer(s, l, i, &layer, err);
	}
	return r;
}

static void expect_bad(struct sk_buf *b, const char *arch, const char *word)
{
	_cleanup_(sk_layout_done) struct sk_layout l = { 0 };
	struct sk_err err = SK_ERR_INIT;

	assert_true(read_layout(b, arch, &l, &err) < 0);
	assert_string_equal(err.slug, "bad-archive");
	if (!strstr(err.text, word))
		fail_msg("\"%s\" is not in: %s", word, err.text);
}

static struct sk_digest add_text(struct sk_buf *b, const char *text)
{
	return tar_blob(b, text, strlen(text));
}

/* A one-layer image of @arch; its manifest's digest. */
static struct sk_digest add_image(struct sk_buf *b, const char *arch)
{
	struct sk_digest layer = add_text(b, arch), config;
	_cleanup_free_ char *c = sk_asprintf(
		"{\"architecture\":\"%s\",\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[\"sha256:%s\"]}}",
		arch, SK_DIGEST_STR(&layer));
	_cleanup_free_ char *m = NULL;

	config = add_text(b, c);
	m = sk_asprintf("{\"config\":{\"digest\":\"sha256:%s\"},"
			"\"layers\":[{\"digest\":\"sha256:%s\"}]}",
			SK_DIGEST_STR(&config), SK_DIGEST_STR(&layer));
	return add_text(b, m);
}

static void add_index(struct sk_buf *b, const char *manifests)
{
	_cleanup_free_ char *index = sk_asprintf("{\"manifests\":[%s]}", manifests);

	tar_add(b, &(struct tar_entry){ "oci-layout", .data = "{}" });
	tar_add(b, &(struct tar_entry){ "index.json", .data = index });
}

static char *descriptor(const struct sk_digest *d)
{
	return sk_asprintf("{\"digest\":\"sha256:%s\",\"annotations\":"
			   "{\"org.opencontainers.image.ref.name\":\"tag\"}}",
			   SK_DIGEST_STR(d));
}

static void one_image(void **state)
{
	_cleanup_(sk_layout_done) struct sk_layout l = { 0 };
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct sk_digest d = add_image(&b, "arm64");
	_cleanup_free_ char *desc = descriptor(&d);
	struct sk_err err = SK_ERR_INIT;

	add_index(&b, desc);
	if (read_layout(&b, NULL, &l, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(l.n_layers, 1);
	assert_string_equal(l.tags[0], "tag");
	assert_non_null(strstr(l.config, "arm64"));
}

static void several_platforms(void **state)
{
	_cleanup_(sk_layout_done) struct sk_layout l = { 0 };
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct sk_digest x86 = add_image(&b, "amd64"), arm = add_image(&b, "arm"), nested;
	_cleanup_free_ char *inner = NULL, *outer = NULL;
	struct sk_err err = SK_ERR_INIT;

	inner = sk_asprintf("{\"manifests\":[{\"digest\":\"sha256:%s\"},{\"digest\":\"sha256:%s\"},"
			    "{\"digest\":\"sha256:%064d\",\"platform\":{\"os\":\"unknown\"}},"
			    "{\"digest\":\"sha256:%064d\",\"platform\":{\"os\":\"linux\"}}]}",
			    SK_DIGEST_STR(&x86), SK_DIGEST_STR(&arm), 1, 2);
	nested = add_text(&b, inner);
	outer = descriptor(&nested);
	add_index(&b, outer);
	if (read_layout(&b, "armhf", &l, &err) < 0)
		fail_msg("%s", err.text);
	assert_non_null(strstr(l.config, "\"arm\""));
	expect_bad(&b, "arm64", "it has: amd64, armhf");
}

static void ambiguous(void **state)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct sk_digest one = add_image(&b, "amd64"), two;
	_cleanup_free_ char *list = NULL;

	/* The same platform again, in other words. */
	two = add_text(&b, "{\"config\":{\"digest\":\"sha256:"
			   "0000000000000000000000000000000000000000000000000000000000000000\"},"
			   "\"layers\":[]}");
	list = sk_asprintf("{\"digest\":\"sha256:%s\"},{\"digest\":\"sha256:%s\"}",
			   SK_DIGEST_STR(&one), SK_DIGEST_STR(&two));
	add_index(&b, list);
	expect_bad(&b, NULL, "missing");
}

static void damaged_blob(void **state)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct sk_digest d = add_image(&b, "amd64");
	_cleanup_free_ char *desc = descriptor(&d);
	char *at;

	add_index(&b, desc);
	at = memmem(b.data, b.len, "\"layers\"", 8);
	assert_non_null(at);
	at[1] = 'L';
	expect_bad(&b, NULL, "damaged");
}

/* An index that names itself cannot exist (digests); nor may depth be used up by others. */
static void too_deep(void **state)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct sk_digest d = add_image(&b, "amd64");
	_cleanup_free_ char *top = NULL;

	for (int i = 0; i < 5; i++) {
		_cleanup_free_ char *index = sk_asprintf(
			"{\"manifests\":[{\"digest\":\"sha256:%s\"}]}", SK_DIGEST_STR(&d));

		d = add_text(&b, index);
	}
	top = descriptor(&d);
	add_index(&b, top);
	expect_bad(&b, NULL, "too deep");
}

static void hostile_documents(void **state)
{
	static const struct {
		const char *index, *word;
	} cases[] = {
		{ "", "lists no image" },
		{ "1", "not an object" },
		{ "{}", "digest" },
		{ "{\"digest\":\"sha512:00\"}", "not a SHA-256" },
		{ "{\"digest\":\"../../etc/passwd\"}", "not a SHA-256" },
		{ "{\"digest\":\"sha256:"
		  "0000000000000000000000000000000000000000000000000000000000000000\"}",
		  "missing" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct sk_buf b = TAR_BUF;

		add_index(&b, cases[i].index);
		expect_bad(&b, NULL, cases[i].word);
	}
}

static void index_and_image_at_once(void **state)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct sk_digest d = add_text(&b, "{\"manifests\":[],\"layers\":[]}");
	_cleanup_free_ char *desc = descriptor(&d);

	add_index(&b, desc);
	expect_bad(&b, NULL, "at once");
}

static void docker_manifests(void **state)
{
	static const struct {
		const char *manifest, *config, *word;
	} cases[] = {
		{ "[]", "{}", "lists no image" },
		{ "{}", "{}", "lists no image" },
		{ "[{},{}]", "{}", "2 images" },
		{ "[{}]", "{}", "Config" },
		{ "[{\"Config\":\"../c\"}]", "{}", "missing" },
		{ "[{\"Config\":\"c\"}]", "[]", "not an object" },
		{ "[{\"Config\":\"c\"}]", "{", "c:" },
		{ "[{\"Config\":\"c\"}]", "{}", "no layers" },
		{ "[{\"Config\":\"c\",\"Layers\":[\"l\"]}]", "{}", "no rootfs" },
		{ "[{\"Config\":\"c\",\"Layers\":[\"l\"]}]", "{\"rootfs\":{\"diff_ids\":[]}}",
		  "one digest for each" },
		{ "[{\"Config\":\"c\",\"Layers\":[\"l\"]}]", "{\"rootfs\":{\"diff_ids\":[\"x\"]}}",
		  "diff_id" },
		{ "[{\"Config\":\"c\",\"Layers\":[1]}]", "{}", "Layers" },
		{ "[{\"Config\":\"c\",\"Config\":\"d\"}]", "{}", "manifest.json" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct sk_buf b = TAR_BUF;

		tar_add(&b, &(struct tar_entry){ "manifest.json", .data = cases[i].manifest });
		tar_add(&b, &(struct tar_entry){ "c", .data = cases[i].config });
		expect_bad(&b, NULL, cases[i].word);
	}
}

static void docker_other_platform(void **state)
{
	struct sk_buf layer = TAR_BUF;
	_cleanup_buf_ struct sk_buf b = TAR_BUF;

	tar_add(&layer, &(struct tar_entry){ "a", .data = "x" });
	tar_end(&layer);
	tar_docker(&b, &layer, 1);
	expect_bad(&b, "arm64", "it has: amd64");
	sk_buf_done(&layer);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_image),
		TEST(several_platforms),
		TEST(ambiguous),
		TEST(damaged_blob),
		TEST(too_deep),
		TEST(hostile_documents),
		TEST(index_and_image_at_once),
		TEST(docker_manifests),
		TEST(docker_other_platform),
	};

	return cmocka_run_group_tests_name("io/layout", tests, NULL, NULL);
}
