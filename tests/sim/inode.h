/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "rng.h"

#define SIM_SECTOR 512

/** struct sim_inode - a file: as seen, and as it is on the medium */
struct sim_inode {
	unsigned refs;
	size_t cap; /* of the three arrays, in sectors for dirty */
	unsigned char *seen, *stable;
	bool *dirty; /* per sector: stable may differ */
	size_t size, stable_size;
	bool sealed, stable_sealed;
	uint64_t reserved;
	uint64_t counted; /* in which round of counting, once for all its names */
};

struct sim_inode *sim_inode_new(void);
struct sim_inode *sim_inode_ref(struct sim_inode *i);
void sim_inode_unref(struct sim_inode *i);

void sim_inode_write(struct sim_inode *i, const void *data, size_t len, size_t offset);
void sim_inode_truncate(struct sim_inode *i, size_t size);
/** All of it is on the medium. */
void sim_inode_sync(struct sim_inode *i);
/** The cache believes that all of it is on the medium, and it is not. */
void sim_inode_lose(struct sim_inode *i);
/** What the cache believes is forgotten; what it has still to write out is not. */
void sim_inode_reread(struct sim_inode *i);
/** Power was cut: what did not arrive is gone. */
void sim_inode_crash(struct sim_inode *i, struct rng *rng);
