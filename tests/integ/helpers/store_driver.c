/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/update/generations.h"
#include "store/fs.h"

/*
 * What the power-cut tests run on a real file system.
 *   store_driver run STORE SEED [unsynced]  works until something fails; one line for each thing
 *                                           that the store has promised to keep
 *   store_driver check STORE < LINES        is all of it there? exit status 1 and a line if not
 *   store_driver record STORE NAME VALUE    puts one record
 */
#define IMAGES	    40
#define IMAGE_MAX   (300 * 1024)
#define RECORDS	    8
#define RECORD_SIZE 4096

static unsigned char bytes[IMAGE_MAX];

static uint64_t next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Image @n is the same in every run. */
static size_t make_image(unsigned n, struct sk_digest *ret)
{
	uint64_t state = n;
	size_t size = 1 + next(&state) % IMAGE_MAX;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(next(&state) >> 7);
	(void)sk_digest_of(bytes, size, ret);
	return size;
}

static int say(const char *what, unsigned long long a, unsigned long long b)
{
	return printf("%s %llu %llu\n", what, a, b) > 0 && fflush(stdout) == 0 ? 0 : -EPIPE;
}

/* The mutation: a store whose syncs do nothing must be found out by the test. */
static struct sk_fs_ops lazy_ops;

static int no_fsync(struct sk_fs *fs, int fd)
{
	return 0;
}

static int no_sync_dir(struct sk_fs *fs, enum sk_fs_dir dir)
{
	return 0;
}

static int no_seal(struct sk_fs *fs, int fd, enum sk_fs_dir dir, const char *name)
{
	fs->ops->close(fs, fd);
	return 0;
}

static int open_store(const char *path, bool unsynced, struct sk_store **ret, struct sk_err *err)
{
	struct sk_fs *fs;
	int r = sk_fs_posix_open(path, &fs);

	if (r < 0)
		return sk_err_set(err, r, "io", "%s: %s", path, strerror(-r));
	if (unsynced) {
		lazy_ops = *fs->ops;
		lazy_ops.fsync = no_fsync;
		lazy_ops.sync_dir = no_sync_dir;
		lazy_ops.seal = no_seal;
		fs->ops = &lazy_ops;
	}
	return sk_store_open_fs(fs, ret, err);
}

static int clear_images(struct sk_store *s, struct sk_err *err)
{
	for (unsigned n = 0; n < IMAGES; n++) {
		struct sk_digest d;
		int r;

		(void)make_image(n, &d);
		if (!sk_store_has(s, &d))
			continue;
		/* From here on it is not promised any more. */
		r = say("removing", n, 0);
		if (r == 0)
			r = sk_store_remove(s, &d, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_image(struct sk_store *s, unsigned n, bool cut_short, struct sk_err *err)
{
	_cleanup_(sk_staged_closep) struct sk_staged *st = NULL;
	struct sk_digest d;
	size_t size = make_image(n, &d), have;
	int r = sk_staged_open(s, &d, size, &st, err);

	if (r == -EEXIST)
		return clear_images(s, err);
	if (r < 0)
		return r;
	have = sk_staged_offset(st);
	r = sk_staged_write(st, bytes + have, (size - have) / (cut_short ? 2 : 1), err);
	if (r < 0 || cut_short)
		return r;
	r = sk_staged_commit(TAKE_PTR(st), err);
	/* A part that the power cut tore is refused once, and fetched anew. */
	if (r == -EBADMSG)
		return have > 0 ? 0 : r;
	return r < 0 ? r : say("image", n, size);
}

/* A record holds a number that only grows, and enough behind it to be torn. */
static uint64_t record_value(struct sk_store *s, const char *name)
{
	_cleanup_free_ char *text = NULL;
	uint64_t value;
	size_t len;

	if (sk_store_get_record(s, name, &text, &len, NULL) < 0 || len != RECORD_SIZE ||
	    text[RECORD_SIZE - 1] != 'x' || sk_parse_u64(text, &value) < 0)
		return 0;
	return value;
}

static int put_record(struct sk_store *s, unsigned k, struct sk_err *err)
{
	char name[16], text[RECORD_SIZE];
	uint64_t value;
	int r;

	(void)snprintf(name, sizeof(name), "r%u", k);
	value = record_value(s, name) + 1;
	memset(text, 'x', sizeof(text));
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	r = sk_store_put_record(s, name, text, sizeof(text), err);
	return r < 0 ? r : say("record", k, value);
}

static int upgrade(struct sk_generations *g, uint64_t dice, struct sk_err *err)
{
	struct sk_digest release = { { 1 } };
	uint64_t number;
	int r;

	(void)sk_digest_of(&dice, sizeof(dice), &release);
	r = sk_generations_stage(g, &release, "1.0", false, 3, &number, err);
	if (r == 0)
		r = sk_generations_apply(g, number, err);
	if (r == 0)
		r = dice % 4 ? sk_generations_healthy(g, err)
			     : sk_generations_unhealthy(g, "no", err);
	if (r == 0)
		r = sk_generations_collect(g, 2, err);
	return r < 0 ? r : say(dice % 4 ? "good" : "bad", number, 0);
}

static int work(struct sk_store *s, uint64_t seed, struct sk_err *err)
{
	_cleanup_(sk_generations_closep) struct sk_generations *g = NULL;
	const struct sk_generation *running;
	int r = sk_generations_open(s, &g, err);

	if (r == 0)
		r = sk_generations_boot(g, true, &running, err);
	if (r == 0 && running && running->state == SK_GEN_TRYING)
		r = sk_generations_unhealthy(g, "cut off", err);
	while (r == 0) {
		uint64_t dice = next(&seed);

		switch (dice % 4) {
		case 0:
			r = upgrade(g, dice >> 8, err);
			break;
		case 1:
			r = put_record(s, (dice >> 8) % RECORDS, err);
			break;
		default:
			r = add_image(s, (dice >> 8) % IMAGES, dice >> 40 & 1, err);
			break;
		}
		if (r == -ENOSPC)
			r = clear_images(s, err);
	}
	return r;
}

static int check_one(void *arg, const struct sk_digest *d, uint64_t size)
{
	struct sk_err err = SK_ERR_INIT;
	int r = sk_store_verify_image(arg, d, &err);

	if (r < 0)
		(void)printf("%s\n", err.text);
	return r;
}

/* What was promised, line by line. */
struct promised {
	bool image[IMAGES];
	uint64_t record[RECORDS];
	bool has_record[RECORDS];
	uint64_t good;
};

static void read_promises(struct promised *p)
{
	unsigned long long a, b;
	char what[16];

	while (scanf("%15s %llu %llu", what, &a, &b) == 3) {
		if (a < IMAGES && (sk_streq(what, "image") || sk_streq(what, "removing")))
			p->image[a] = sk_streq(what, "image");
		if (a < RECORDS && sk_streq(what, "record")) {
			p->record[a] = b;
			p->has_record[a] = true;
		}
		if (sk_streq(what, "good"))
			p->good = a;
	}
}

static int check_records(struct sk_store *s, const struct promised *p)
{
	for (unsigned k = 0; k < RECORDS; k++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "r%u", k);
		if (p->has_record[k] && record_value(s, name) < p->record[k]) {
			(void)printf("record %s is lost or torn\n", name);
			return -1;
		}
	}
	return 0;
}

static int check(struct sk_store *s, struct sk_err *err)
{
	_cleanup_(sk_generations_closep) struct sk_generations *g = NULL;
	struct promised p = { 0 };
	const struct sk_generation *floor;
	int r = sk_store_list(s, check_one, s);

	read_promises(&p);
	for (unsigned n = 0; r == 0 && n < IMAGES; n++) {
		struct sk_digest d;

		(void)make_image(n, &d);
		if (p.image[n] && !sk_store_has(s, &d)) {
			(void)printf("image %u is lost\n", n);
			return -1;
		}
	}
	r = r < 0 ? r : check_records(s, &p);
	r = r < 0 ? r : sk_generations_open(s, &g, err);
	if (r < 0)
		return r;
	floor = sk_generations_floor(g);
	if (p.good > 0 && (!floor || floor->number < p.good)) {
		(void)printf("good generation %llu is lost\n", (unsigned long long)p.good);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(sk_store_closep) struct sk_store *s = NULL;
	struct sk_err err = SK_ERR_INIT;
	uint64_t seed = 0;
	int r;

	if (argc < 3)
		return 2;
	r = open_store(argv[2], argc == 5 && sk_streq(argv[4], "unsynced"), &s, &err);
	if (r == 0 && sk_streq(argv[1], "check"))
		r = check(s, &err);
	else if (r == 0 && argc == 5 && sk_streq(argv[1], "record"))
		r = sk_store_put_record(s, argv[3], argv[4], strlen(argv[4]), &err);
	else if (r == 0 && argc >= 4 && sk_streq(argv[1], "run") &&
		 sk_parse_u64(argv[3], &seed) == 0)
		r = work(s, seed, &err);
	if (err.text[0])
		(void)printf("%s: %s\n", err.slug, err.text);
	return r < 0 ? 1 : 0;
}
