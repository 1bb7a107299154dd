/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "tar_fixture.h"

#define BLOCK 512

static void add_bytes(struct sk_buf *b, const void *data, size_t len)
{
	assert_int_equal(sk_buf_add(b, data, len), 0);
}

static void pad(struct sk_buf *b)
{
	static const char zeros[BLOCK];

	if (b->len % BLOCK)
		add_bytes(b, zeros, BLOCK - b->len % BLOCK);
}

/* @digits octal digits. */
static void put_octal(char *at, int digits, uint64_t value)
{
	for (at += digits; digits-- > 0; value >>= 3)
		*--at = (char)('0' + (value & 7));
}

/* Eleven octal digits, or beyond that the first bit set and a binary number. */
static void put_size(char *at, uint64_t size)
{
	if (size >> 33 == 0) {
		put_octal(at, 11, size);
		return;
	}
	at[0] = (char)0x80;
	for (int i = 0; i < 8; i++)
		at[11 - i] = (char)(size >> (8 * i));
}

static void add_header(struct sk_buf *b, const struct tar_entry *e, size_t len)
{
	char h[BLOCK] = { 0 };
	unsigned sum = 0;

	memcpy(h, e->name, SK_MIN(strlen(e->name), (size_t)100));
	put_octal(h + 100, 7, e->mode ? e->mode : 0644);
	put_octal(h + 108, 7, e->uid);
	put_octal(h + 116, 7, e->gid);
	put_size(h + 124, e->claim ? e->claim : len);
	put_octal(h + 136, 11, e->mtime);
	h[156] = (char)(e->type ? e->type : '0');
	if (e->link)
		memcpy(h + 157, e->link, SK_MIN(strlen(e->link), (size_t)100));
	memcpy(h + 257,
	       "ustar\0"
	       "00",
	       8);
	memset(h + 148, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	put_octal(h + 148, 6, sum);
	h[154] = '\0';
	add_bytes(b, h, BLOCK);
}

static void add_raw(struct sk_buf *b, const struct tar_entry *e, const void *data, size_t len)
{
	add_header(b, e, len);
	add_bytes(b, data, len);
	pad(b);
}

void tar_add(struct sk_buf *b, const struct tar_entry *e)
{
	if (strlen(e->name) > 100 && e->type != 'L' && e->type != 'x')
		tar_add(b, &(struct tar_entry){ "././@LongLink", 'L', .data = e->name });
	add_raw(b, e, e->data ? e->data : "", e->data ? strlen(e->data) : 0);
}

void tar_end(struct sk_buf *b)
{
	static const char zeros[2 * BLOCK];

	add_bytes(b, zeros, sizeof(zeros));
}

int tar_fd(const struct sk_buf *b)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(sk_fd_write(fd, b->data ? b->data : "", b->len), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

struct sk_digest tar_digest(const struct sk_buf *b)
{
	struct sk_digest d;

	assert_int_equal(sk_digest_of(b->data, b->len, &d), 0);
	return d;
}

void tar_docker(struct sk_buf *b, const struct sk_buf *layers, unsigned n)
{
	_cleanup_buf_ struct sk_buf config = SK_BUF(65536), manifest = SK_BUF(65536);

	(void)sk_buf_adds(&config, "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},"
				   "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
	(void)sk_buf_adds(&manifest, "[{\"Config\":\"config.json\",\"RepoTags\":[\"web:1\"],"
				     "\"Layers\":[");
	for (unsigned i = 0; i < n; i++) {
		_cleanup_free_ char *name = sk_asprintf("%u/layer.tar", i);
		const struct sk_digest d = tar_digest(&layers[i]);

		(void)sk_buf_addf(&config, "%s\"sha256:%s\"", i ? "," : "", SK_DIGEST_STR(&d));
		(void)sk_buf_addf(&manifest, "%s\"%s\"", i ? "," : "", name);
		add_raw(b, &(struct tar_entry){ name }, layers[i].data, layers[i].len);
	}
	(void)sk_buf_adds(&config, "]}}");
	(void)sk_buf_adds(&manifest, "]}]");
	tar_add(b, &(struct tar_entry){ "config.json", .data = config.data });
	tar_add(b, &(struct tar_entry){ "manifest.json", .data = manifest.data });
}

struct sk_digest tar_blob(struct sk_buf *b, const void *data, size_t len)
{
	struct sk_digest d;
	_cleanup_free_ char *name = NULL;

	assert_int_equal(sk_digest_of(data, len, &d), 0);
	name = sk_asprintf("blobs/sha256/%s", SK_DIGEST_STR(&d));
	add_raw(b, &(struct tar_entry){ name }, data, len);
	return d;
}
