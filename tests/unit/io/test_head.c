/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macros.h"
#include "io/image/head.h"

/* A file whose first four bytes say how long its tree is. */
static int size_of(const void *head, size_t len, size_t *ret, struct sk_err *err)
{
	uint32_t n;

	if (len < sizeof(n))
		return sk_err_set(err, -EBADMSG, "bad-image", "too short");
	memcpy(&n, head, sizeof(n));
	*ret = n;
	return 0;
}

static int file_of(uint32_t claims, size_t size)
{
	_cleanup_free_ char *bytes = calloc(1, size + sizeof(claims));
	int fd = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	assert_true(bytes && fd >= 0);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)i;
	memcpy(bytes, &claims, sizeof(claims));
	assert_int_equal(sk_fd_write(fd, bytes, size), 0);
	return fd;
}

static int read_it(uint32_t claims, size_t size, struct sk_err *err)
{
	_cleanup_close_ int fd = file_of(claims, size);
	_cleanup_free_ void *tree = NULL;
	size_t len = 0;
	int r = sk_image_head_read(fd, size_of, &tree, &len, err);

	if (r < 0) {
		assert_null(tree);
		return r;
	}
	assert_int_equal(len, claims);
	assert_memory_equal(tree, &claims, SK_MIN(sizeof(claims), len));
	for (size_t i = sizeof(claims); i < len; i++)
		assert_int_equal(((char *)tree)[i], (char)i);
	return 0;
}

static void trees_of_any_size(void **state)
{
	static const uint32_t sizes[] = { 4, 100, 4095, 4096, 4097, 100000 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(read_it(sizes[i], sizes[i], NULL), 0);
		assert_int_equal(read_it(sizes[i], 200000, NULL), 0);
	}
}

static void cut_off_or_empty(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(read_it(5000, 4999, &err), -EBADMSG);
	assert_string_equal(err.slug, "bad-image");
	assert_int_equal(read_it(100, 99, &err), -EBADMSG);
	assert_int_equal(read_it(100, 3, &err), -EBADMSG);
	assert_string_equal(err.text, "too short");
	assert_int_equal(read_it(100, 0, &err), -EBADMSG);
}

static void not_readable(void **state)
{
	_cleanup_close_ int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sk_err err = SK_ERR_INIT;
	void *tree = NULL;
	size_t len;

	assert_int_equal(sk_image_head_read(fd, size_of, &tree, &len, &err), -EISDIR);
	assert_string_equal(err.slug, "io");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trees_of_any_size),
		cmocka_unit_test(cut_off_or_empty),
		cmocka_unit_test(not_readable),
	};

	return cmocka_run_group_tests_name("io/head", tests, NULL, NULL);
}
