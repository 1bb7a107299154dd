/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "world.h"

/* Images arriving: in pieces, at times wrong, cut off, resumed, two at once. */

static void close_upload(struct sim_world *w, unsigned slot)
{
	sk_staged_close(w->uploads[slot].st);
	w->uploads[slot].st = NULL;
}

void sim_close_uploads(struct sim_world *w)
{
	for (unsigned i = 0; i < UPLOADS; i++)
		if (w->uploads[i].st)
			close_upload(w, i);
}

static bool is_open(const struct sim_world *w, unsigned image)
{
	for (unsigned i = 0; i < UPLOADS; i++)
		if (w->uploads[i].st && w->uploads[i].image == image)
			return true;
	return false;
}

static void open_upload(struct sim_world *w, unsigned slot)
{
	unsigned n = (unsigned)rng_below(&w->rng, IMAGES);
	struct sim_image *image = &w->images[n];
	struct sk_err err = SK_ERR_INIT;
	bool busy = is_open(w, n), has = sk_store_has(w->store, &image->digest);
	uint64_t claim = rng_one_in(&w->rng, 50)   ? 5ull << 30
			 : rng_one_in(&w->rng, 50) ? 1 + rng_below(&w->rng, image->size)
						   : image->size;
	int r = sk_staged_open(w->store, &image->digest, claim, &w->uploads[slot].st, &err);

	if (r < 0) {
		w->uploads[slot].st = NULL;
		w->counts.full += r == -ENOSPC;
		SIM_CHECK(claim <= image->size || r == -EFBIG || r == -EIO, "5 GiB: %s", err.text);
		SIM_CHECK(r != -EEXIST || has, "image %u is not there: %s", n, err.text);
		SIM_CHECK(r != -EBUSY || busy, "image %u is not being added: %s", n, err.text);
		return;
	}
	SIM_CHECK(claim <= image->size && !busy && !has, "image %u is taken again", n);
	w->uploads[slot].image = n;
	if (claim < image->size) {
		SIM_CHECK(sk_staged_offset(w->uploads[slot].st) <= claim,
			  "image %u has more than was claimed", n);
		close_upload(w, slot);
		return;
	}
	if (sk_staged_offset(w->uploads[slot].st) == 0)
		image->tainted = false;
}

static void commit(struct sim_world *w, unsigned slot)
{
	struct sim_image *image = &w->images[w->uploads[slot].image];
	struct sk_staged *st = w->uploads[slot].st;
	struct sk_err err = SK_ERR_INIT;
	bool wrong = image->tainted;
	int r;

	w->uploads[slot].st = NULL;
	/* As when a child commits it. */
	if (rng_one_in(&w->rng, 3) && sk_staged_end_writing(st, &err) < 0) {
		sk_staged_close(st);
		return;
	}
	r = sk_staged_commit(st, &err);
	if (r == 0) {
		image->stored = true;
		image->damaged = false;
		w->counts.commits++;
		sim_disk_quiet(w->disk, true);
		SIM_CHECK(sk_store_verify_image(w->store, &image->digest, &err) == 0 ||
				  sim_disk_dead(w->disk),
			  "a wrong image was taken: %s", err.text);
		sim_disk_quiet(w->disk, false);
		return;
	}
	/* What a failed write-out left, and could not be removed either, will be refused later. */
	w->glitchy = w->glitchy || sim_disk_glitched(w->disk);
	image->tainted = image->tainted || w->glitchy;
	w->counts.refused += r == -EBADMSG;
	w->counts.full += r == -ENOSPC;
	SIM_CHECK(r != -ENOENT, "what was being added was taken away: %s", err.text);
	SIM_CHECK(r != -EBADMSG || w->glitchy || sim_disk_dead(w->disk) ||
			  sk_store_part_bytes(w->store, &image->digest) == 0,
		  "a part that is wrong for good stays");
	SIM_CHECK(r != -EBADMSG || wrong || w->glitchy, "a right image was refused: %s", err.text);
	SIM_CHECK(!sk_store_has(w->store, &image->digest) || w->glitchy || sim_disk_dead(w->disk),
		  "a refused image is listed: %s", err.text);
}

static void send(struct sim_world *w, unsigned slot)
{
	struct sim_image *image = &w->images[w->uploads[slot].image];
	struct sk_staged *st = w->uploads[slot].st;
	uint64_t offset = sk_staged_offset(st);
	unsigned char piece[IMAGE_SIZE_MAX];
	size_t len = image->size - offset;
	int r;

	if (len > 1 && rng_one_in(&w->rng, 2))
		len = 1 + rng_below(&w->rng, len);
	memcpy(piece, image->bytes + offset, len);
	if (len > 0 && rng_one_in(&w->rng, 40)) {
		piece[rng_below(&w->rng, len)] ^= 1;
		image->tainted = true;
	}
	r = sk_staged_write(st, piece, len, NULL);
	w->counts.full += r == -ENOSPC;
	if (r == 0 && sk_staged_offset(st) == image->size)
		commit(w, slot);
}

void sim_upload(struct sim_world *w)
{
	unsigned slot = (unsigned)rng_below(&w->rng, UPLOADS);

	if (!w->uploads[slot].st)
		open_upload(w, slot);
	else if (rng_one_in(&w->rng, 12))
		close_upload(w, slot);
	else
		send(w, slot);
}
