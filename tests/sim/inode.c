/* SPDX-License-Identifier: Apache-2.0 */
#include "inode.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

struct sim_inode *sim_inode_new(void)
{
	struct sim_inode *i = must(calloc(1, sizeof(*i)));

	i->refs = 1;
	return i;
}

struct sim_inode *sim_inode_ref(struct sim_inode *i)
{
	i->refs++;
	return i;
}

void sim_inode_unref(struct sim_inode *i)
{
	if (!i || --i->refs > 0)
		return;
	free(i->seen);
	free(i->stable);
	free(i->dirty);
	free(i);
}

static void grow(struct sim_inode *i, size_t size)
{
	size_t cap = SK_MAX(i->cap, (size_t)4 * SIM_SECTOR), old = i->cap;

	if (size <= i->cap)
		return;
	while (cap < size)
		cap *= 2;
	i->seen = must(realloc(i->seen, cap));
	i->stable = must(realloc(i->stable, cap));
	i->dirty = must(realloc(i->dirty, cap / SIM_SECTOR * sizeof(bool)));
	memset(i->seen + old, 0, cap - old);
	memset(i->stable + old, 0, cap - old);
	memset(i->dirty + old / SIM_SECTOR, 0, (cap - old) / SIM_SECTOR * sizeof(bool));
	i->cap = cap;
}

static void mark(struct sim_inode *i, size_t from, size_t to)
{
	for (size_t s = from / SIM_SECTOR; s * SIM_SECTOR < to; s++)
		i->dirty[s] = true;
}

void sim_inode_write(struct sim_inode *i, const void *data, size_t len, size_t offset)
{
	if (len == 0)
		return;
	grow(i, offset + len);
	if (offset > i->size)
		mark(i, i->size, offset);
	memcpy(i->seen + offset, data, len);
	mark(i, offset, offset + len);
	i->size = SK_MAX(i->size, offset + len);
}

void sim_inode_truncate(struct sim_inode *i, size_t size)
{
	grow(i, size);
	if (size < i->size) {
		memset(i->seen + size, 0, i->size - size);
		mark(i, size, i->size);
	}
	i->size = size;
}

static size_t sectors(const struct sim_inode *i)
{
	return i->cap / SIM_SECTOR;
}

void sim_inode_sync(struct sim_inode *i)
{
	for (size_t s = 0; s < sectors(i); s++) {
		if (!i->dirty[s])
			continue;
		memcpy(i->stable + s * SIM_SECTOR, i->seen + s * SIM_SECTOR, SIM_SECTOR);
		i->dirty[s] = false;
	}
	i->stable_size = i->size;
	i->stable_sealed = i->sealed;
}

void sim_inode_lose(struct sim_inode *i)
{
	for (size_t s = 0; s < sectors(i); s++)
		i->dirty[s] = false;
}

void sim_inode_reread(struct sim_inode *i)
{
	for (size_t s = 0; s < sectors(i); s++)
		if (!i->dirty[s])
			memcpy(i->seen + s * SIM_SECTOR, i->stable + s * SIM_SECTOR, SIM_SECTOR);
}

/* What a sector holds that was given to the file but never written: zeros, or what was there. */
static void fill_unwritten(unsigned char *at, struct rng *rng)
{
	if (rng_one_in(rng, 3))
		memset(at, (int)rng_below(rng, 256), SIM_SECTOR);
}

void sim_inode_crash(struct sim_inode *i, struct rng *rng)
{
	/* Little or much may have been written out in the background. */
	uint64_t share = rng_below(rng, 5);
	size_t old_size = i->stable_size;

	if (i->size != i->stable_size && rng_below(rng, 4) < share)
		i->stable_size = i->size;
	if (rng_below(rng, 4) < share)
		i->stable_sealed = i->sealed;
	for (size_t s = 0; s < sectors(i); s++) {
		if (i->dirty[s] && rng_below(rng, 4) < share)
			memcpy(i->stable + s * SIM_SECTOR, i->seen + s * SIM_SECTOR, SIM_SECTOR);
		else if (i->dirty[s] && s * SIM_SECTOR >= old_size)
			fill_unwritten(i->stable + s * SIM_SECTOR, rng);
		i->dirty[s] = false;
	}
	if (i->cap > 0)
		memcpy(i->seen, i->stable, i->cap);
	if (i->cap > i->stable_size) {
		memset(i->seen + i->stable_size, 0, i->cap - i->stable_size);
		memset(i->stable + i->stable_size, 0, i->cap - i->stable_size);
	}
	i->size = i->stable_size;
	i->sealed = i->stable_sealed;
	i->reserved = 0;
}
