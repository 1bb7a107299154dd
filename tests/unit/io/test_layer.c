/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/layer.h"
#include "tar_fixture.h"

/* Each test gets an empty root below a folder that also holds what must stay untouched. */
struct place {
	char dir[64];
	struct sk_tree *tree;
	struct sk_unpack_budget budget;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/skerry-layer.XXXXXX");
	if (!mkdtemp(p->dir) || chdir(p->dir) < 0 || mkdir("rootfs", 0755) < 0)
		return -1;
	p->budget = (struct sk_unpack_budget){ 1 << 20, 1000, 1 << 20 };
	*state = p;
	return sk_file_write(AT_FDCWD, "outside", "mine", 4, 0644) < 0 ||
			       sk_tree_open("rootfs", geteuid() == 0, &p->tree, NULL) < 0
		       ? -1
		       : 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	int r;

	sk_tree_free(p->tree);
	r = chdir("/") | sk_rm_rf(AT_FDCWD, p->dir);
	free(p);
	return r;
}

static int apply_buf(struct place *p, const struct sk_buf *b, struct sk_err *err)
{
	_cleanup_close_ int fd = tar_fd(b);

	return sk_layer_apply(p->tree, fd, "layer 1", NULL, &p->budget, err);
}

static int apply(struct place *p, const struct tar_entry *entries, size_t n, struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;

	for (size_t i = 0; i < n; i++)
		tar_add(&b, &entries[i]);
	tar_end(&b);
	return apply_buf(p, &b, err);
}

#define APPLY(p, ...)                                             \
	do {                                                      \
		const struct tar_entry _e[] = { __VA_ARGS__ };    \
		struct sk_err _err = SK_ERR_INIT;                 \
                                                                  \
		if (apply((p), _e, ARRAY_SIZE(_e), &_err) < 0)    \
			fail_msg("%s: %s", _err.slug, _err.text); \
	} while (0)

#define REFUSED(p, word, ...)                                                \
	do {                                                                 \
		const struct tar_entry _e[] = { __VA_ARGS__ };               \
		struct sk_err _err = SK_ERR_INIT;                            \
                                                                             \
		assert_true(apply((p), _e, ARRAY_SIZE(_e), &_err) < 0);      \
		assert_string_equal(_err.slug, "bad-archive");               \
		if (!strstr(_err.text, (word)))                              \
			fail_msg("\"%s\" is not in: %s", (word), _err.text); \
	} while (0)

static bool there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void assert_text(const char *path, const char *want)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	assert_int_equal(sk_file_read(AT_FDCWD, path, 65536, &text, &len), 0);
	assert_string_equal(text, want);
}

static void plain_things(void **state)
{
	struct place *p = *state;
	struct stat st;

	APPLY(p, { "./", '5', .mode = 0755 }, { "./a/", '5', .mode = 0750, .mtime = 77 },
	      { "./a/f", .data = "text", .mode = 0755, .mtime = 77 }, { "a//l", '2', .link = "/f" },
	      { "a/h", '1', .link = "./a/f" }, { "deep/er/f", .data = "x" });
	assert_text("rootfs/a/f", "text");
	assert_text("rootfs/a/h", "text");
	assert_text("rootfs/deep/er/f", "x");
	assert_int_equal(lstat("rootfs/a/f", &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 77);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(sk_tree_newest(p->tree), 77);
	assert_int_equal(p->budget.unpacked, 5);
}

static void names_that_leave(void **state)
{
	REFUSED(*state, "\"..\"", { "../outside", .data = "x" });
	REFUSED(*state, "\"..\"", { "a/../../outside", .data = "x" });
	REFUSED(*state, "\"..\"", { "a/..", '5' });
	REFUSED(*state, "absolute", { "/outside", .data = "x" });
	REFUSED(*state, "absolute", { "//outside", .data = "x" });
	REFUSED(*state, "control", { "a\nb", .data = "x" });
	REFUSED(*state, "control", { "a\x1b[2J", .data = "x" });
	assert_text("outside", "mine");
}

static void writing_through_symlinks(void **state)
{
	struct place *p = *state;

	REFUSED(p, "leads out", { "up", '2', .link = ".." }, { "up/outside", .data = "x" });
	REFUSED(p, "leads out", { "abs", '2', .link = p->dir }, { "abs/outside", .data = "x" });
	REFUSED(p, "leads out", { "a/up", '2', .link = "../.." }, { "a/up/outside", .data = "x" });
	REFUSED(p, "leads out", { "one", '2', .link = "two" }, { "two", '2', .link = "/" },
		{ "one/outside", .data = "x" });
	REFUSED(p, "leads out", { "x", '2', .link = "/proc/self/cwd" },
		{ "x/outside", .data = "x" });
	APPLY(p, { "w", '2', .link = ".." });
	REFUSED(p, "leads out", { "w/.wh.outside" });
	REFUSED(p, "leads out", { "w/.wh..wh..opq" });
	REFUSED(p, "nowhere", { "l", '2', .link = "l" }, { "l/f", .data = "x" });
	REFUSED(p, "nowhere", { "n", '2', .link = "absent" }, { "n/f", .data = "x" });
	assert_text("outside", "mine");
}

/* The last part of a name is never followed: it is replaced. */
static void replacing_symlinks(void **state)
{
	APPLY(*state, { "f", '2', .link = "../outside" }, { "f", .data = "x" });
	assert_text("rootfs/f", "x");
	APPLY(*state, { "d", '2', .link = ".." }, { "d", '5' }, { "d/outside", .data = "x" });
	assert_text("rootfs/d/outside", "x");
	assert_text("outside", "mine");
}

/* A usr-merged image: later layers write by either name. */
static void symlinks_that_stay(void **state)
{
	APPLY(*state, { "usr/lib", '5' }, { "lib", '2', .link = "usr/lib" },
	      { "lib/a", .data = "1" }, { "usr/x/up", '2', .link = "../lib" },
	      { "usr/x/up/b", .data = "2" });
	assert_text("rootfs/usr/lib/a", "1");
	assert_text("rootfs/usr/lib/b", "2");
}

static void hard_links(void **state)
{
	struct place *p = *state;

	REFUSED(p, "\"..\"", { "h", '1', .link = "../outside" });
	REFUSED(p, "absolute", { "h", '1', .link = "/etc/passwd" });
	REFUSED(p, "not there", { "h", '1', .link = "absent" });
	REFUSED(p, "leads out", { "up", '2', .link = ".." }, { "h", '1', .link = "up/outside" });
	REFUSED(p, "other than a file", { "s", '2', .link = "../outside" },
		{ "h", '1', .link = "s" });
	REFUSED(p, "other than a file", { "d", '5' }, { "h", '1', .link = "d" });
	REFUSED(p, "itself", { "f", .data = "x" }, { "f", '1', .link = "f" });
	REFUSED(p, "replaces", { "d/f", .data = "x" }, { "d", '1', .link = "d/f" });
	assert_text("outside", "mine");
}

static void devices(void **state)
{
	struct place *p = *state;

	REFUSED(p, "device nodes", { "null", '3' });
	REFUSED(p, "device nodes", { "a/sda", '4' });
	REFUSED(p, "FIFOs", { "fifo", '6' });
	REFUSED(p, "device nodes", { "device", '3' });
	APPLY(p, { "dev/null", '3' }, { "dev/pts/0", '3' }, { "dev/initctl", '6' });
	assert_int_equal(p->budget.left_out_devices, 3);
	assert_false(there("rootfs/dev/null"));
}

static void whiteouts(void **state)
{
	struct place *p = *state;

	APPLY(p, { "a/f", .data = "x" }, { "a/g", .data = "x" }, { "b/c/d", .data = "x" },
	      { "k", .data = "x" });
	/* Also what the same layer adds stays, whichever stands first. */
	APPLY(p, { "a/g", .data = "new" }, { "a/.wh.f" }, { "a/.wh.g" }, { "b/new", .data = "x" },
	      { "b/.wh..wh..opq" }, { ".wh.absent" }, { "no/.wh.where" });
	assert_false(there("rootfs/a/f"));
	assert_text("rootfs/a/g", "new");
	assert_false(there("rootfs/b/c"));
	assert_true(there("rootfs/b/new"));
	assert_true(there("rootfs/k"));
	assert_false(there("rootfs/a/.wh.f"));
}

static void hostile_whiteouts(void **state)
{
	struct place *p = *state;

	REFUSED(p, "no whiteout", { ".wh." });
	REFUSED(p, "no whiteout", { ".wh.." });
	REFUSED(p, "no whiteout", { ".wh..." });
	REFUSED(p, "no whiteout", { "a/.wh.." });
	REFUSED(p, "no whiteout", { ".wh..wh.plnk" });
	REFUSED(p, "folder is named", { ".wh.../outside" });
	REFUSED(p, "folder is named", { ".wh.a/f", .data = "x" });
	REFUSED(p, "plain file", { ".wh.a", '5' });
	REFUSED(p, "plain file", { ".wh.a", '2', .link = "x" });
	REFUSED(p, "plain file", { ".wh.a", '1', .link = "x" });
	assert_text("outside", "mine");
}

static void sizes(void **state)
{
	struct place *p = *state;

	/* 5 GiB in the header, nothing behind it. */
	REFUSED(p, "more than is allowed", { "big", .claim = 5ull << 30 });
	REFUSED(p, "overflow", { "big", .claim = UINT64_MAX >> 1 });
	REFUSED(p, "", { "cut", .data = "x", .claim = 100000 });
	p->budget.bytes = 5;
	REFUSED(p, "more than is allowed", { "a", .data = "123" }, { "b", .data = "456" });
	assert_false(there("rootfs/a"));
}

static void counts(void **state)
{
	struct place *p = *state;

	p->budget.entries = 2;
	REFUSED(p, "entries", { "a" }, { "b" }, { "c" });
	p->budget.entries = 100;
	p->budget.name_bytes = 3;
	REFUSED(p, "names", { "aa" }, { "bb" });
}

static void long_names(void **state)
{
	_cleanup_free_ char *part = calloc(1, 300), *name = calloc(1, 9000), *deep = NULL;
	struct place *p = *state;
	char *at = name;

	memset(part, 'p', 256);
	REFUSED(p, "255", { part });
	for (int i = 0; i < 40; i++)
		at += sprintf(at, "%.200s/", part);
	REFUSED(p, "4095", { name });
	deep = calloc(1, 500);
	for (int i = 0; i < 101; i++)
		deep = strcat(deep, "d/");
	REFUSED(p, "100 folders", { deep, '5' });
	deep[198] = '\0';
	APPLY(p, { deep, '5' });
}

/* Symlinks add up to a depth that no name has: the whole must still be removable. */
static void depth_through_symlinks(void **state)
{
	_cleanup_free_ char *deep = calloc(1, 500), *more = NULL;

	for (int i = 0; i < 90; i++)
		deep = strcat(deep, "d/");
	more = sk_asprintf("s/%s", deep);
	deep[strlen(deep) - 1] = '\0';
	REFUSED(*state, "deep", { deep, '5' }, { "s", '2', .link = deep }, { more, '5' });
}

static void kinds_replace_each_other(void **state)
{
	REFUSED(*state, "used as a folder", { "f", .data = "x" }, { "f/g", .data = "x" });
	REFUSED(*state, "root is not a folder", { ".", .data = "x" });
	REFUSED(*state, "root is not a folder", { ".", '2', .link = ".." });
	APPLY(*state, { "x/y", .data = "1" }, { "x", .data = "2" });
	assert_text("rootfs/x", "2");
	APPLY(*state, { "x", '5' }, { "x/z", .data = "3" }, { "x", '5', .mode = 0700 });
	assert_text("rootfs/x/z", "3");
}

static void names_are_bytes(void **state)
{
	APPLY(*state, { "caf\xe9", .data = "latin" }, { "caf\xc3\xa9", .data = "utf-8" },
	      { "h", 'x', .data = "19 path=p\xc3\xa4x/\xe9\n" }, { "short", .data = "pax" });
	assert_text("rootfs/caf\xe9", "latin");
	assert_text("rootfs/caf\xc3\xa9", "utf-8");
}

static void attributes_are_counted(void **state)
{
	struct place *p = *state;

	APPLY(p, { "h", 'x', .data = "41 SCHILY.xattr.security.capability=abcd\n" },
	      { "ping", .data = "x" });
	assert_int_equal(p->budget.left_out_xattrs, 1);
}

static void damaged_tars(void **state)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct place *p = *state;
	struct sk_err err;

	tar_add(&b, &(struct tar_entry){ "f", .data = "text" });
	b.len = 700; /* cut in the data */
	assert_int_equal(apply_buf(p, &b, &err), -EBADMSG);
	b.len = 300; /* cut in the header */
	assert_int_equal(apply_buf(p, &b, &err), -EBADMSG);
	b.len = 0;
	assert_int_equal(apply_buf(p, &b, &err), -EBADMSG);
	assert_int_equal(sk_buf_adds(&b, "this is no tar at all, but some text of good length"), 0);
	assert_int_equal(apply_buf(p, &b, &err), -EBADMSG);
	assert_string_equal(err.slug, "bad-archive");
	assert_false(there("rootfs/f"));
}

static void digests(void **state)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct place *p = *state;
	_cleanup_close_ int fd = -1;
	struct sk_digest d;
	struct sk_err err;

	tar_add(&b, &(struct tar_entry){ "f", .data = "text" });
	tar_end(&b);
	d = tar_digest(&b);
	fd = tar_fd(&b);
	assert_int_equal(sk_layer_apply(p->tree, fd, "layer", &d, &p->budget, &err), 0);
	assert_true(there("rootfs/f"));
	d.bytes[0] ^= 1;
	assert_int_equal(sk_tree_remove(p->tree, "f", &err), 0);
	assert_int_equal(sk_layer_apply(p->tree, fd, "layer", &d, &p->budget, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "damaged"));
	assert_false(there("rootfs/f"));
}

static void owners(void **state)
{
	struct place *p = *state;
	struct stat st;

	if (geteuid() != 0)
		skip();
	APPLY(p, { "f", .data = "x", .uid = 33, .gid = 44, .mode = 04755 });
	assert_int_equal(lstat("rootfs/f", &st), 0);
	assert_int_equal(st.st_uid, 33);
	assert_int_equal(st.st_gid, 44);
	assert_int_equal(st.st_mode & 07777, 04755);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain_things),
		TEST(names_that_leave),
		TEST(writing_through_symlinks),
		TEST(replacing_symlinks),
		TEST(symlinks_that_stay),
		TEST(hard_links),
		TEST(devices),
		TEST(whiteouts),
		TEST(hostile_whiteouts),
		TEST(sizes),
		TEST(counts),
		TEST(long_names),
		TEST(depth_through_symlinks),
		TEST(kinds_replace_each_other),
		TEST(names_are_bytes),
		TEST(attributes_are_counted),
		TEST(damaged_tars),
		TEST(digests),
		TEST(owners),
	};

	return cmocka_run_group_tests_name("io/layer", tests, NULL, NULL);
}
