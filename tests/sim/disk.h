/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rng.h"
#include "store/fs.h"

/*
 * A model disk below the real store. It keeps two of everything: what a running system sees, and
 * what a power cut leaves. Between two syncs of a file any of its 512-byte sectors may or may not
 * have arrived, in any order, and its size too; between two syncs of a folder each single entry
 * change may or may not have, in any order (a rename over to another folder is two of them). That
 * is worse than ext4. A sector that never arrived reads as before, as zeros or as old garbage.
 */
struct sim_disk;

/** sim_violation() - what must never happen did: tells how to replay it, and ends the program. */
_Noreturn void sim_violation(const char *fmt, ...) SK_PRINTF(1, 2);

/** What is done wrong on purpose, to show that the simulation can see it: by the disk, then by an update. */
enum sim_mutation {
	SIM_NO_MUTATION,
	SIM_DROP_FSYNC,		/* fsync of a file does nothing */
	SIM_DROP_DIR_SYNC,	/* fsync of any folder does nothing */
	SIM_DROP_IMAGES_SYNC,	/* fsync of images/ does nothing */
	SIM_DROP_RECORDS_SYNC,	/* fsync of records/ does nothing */
	SIM_DROP_RELEASES_SYNC, /* fsync of releases/ does nothing */
	SIM_REPLACE_IN_PLACE,	/* rename copies the bytes over what is there */
	SIM_SKIP_SLOT_REVERT,	/* the second part is not reverted */
	SIM_SLOT_LIES,		/* the second part says that it is active, whatever runs */
	SIM_CONFIRM_EARLY,	/* parts are confirmed before the health gate has looked */
	SIM_GOOD_IN_SPITE,	/* what the health gate refuses is recorded as good */
	SIM_PARTS_REVERSED,	/* the second part comes first */
	SIM_APPLY_IGNORED,   /* whether a generation could be recorded as trying is not looked at */
	SIM_BOOTS_UNCOUNTED, /* a restart of the machine is taken for one of the daemon */
	SIM_MUTATIONS,
};

struct sim_disk *sim_disk_new(struct rng *rng, uint64_t capacity, enum sim_mutation mutation);
void sim_disk_free(struct sim_disk *d);

/** sim_disk_mount() - the table for sk_store_open_fs(); one at a time. */
struct sk_fs *sim_disk_mount(struct sim_disk *d);

enum sim_end {
	SIM_KILL,      /* the process ends; what the system sees stays */
	SIM_POWER_CUT, /* what was not synced may be lost */
};

/**
 * sim_disk_end_after() - after @ops more operations the process is dead
 * From then on each operation fails and changes nothing, so that the caller's own error paths
 * free its memory; sim_disk_dead() tells.
 */
void sim_disk_end_after(struct sim_disk *d, uint64_t ops, enum sim_end how);
/** sim_disk_end_now() - as if the operations were over already */
void sim_disk_end_now(struct sim_disk *d, enum sim_end how);
enum sim_end sim_disk_ended_how(const struct sim_disk *d);
bool sim_disk_dead(const struct sim_disk *d);

/** sim_disk_revive() - the next start: alive again, nothing pending. */
void sim_disk_revive(struct sim_disk *d);

/** sim_disk_sync() - all is written out, as by a proper shutdown. */
void sim_disk_sync(struct sim_disk *d);
/** sim_disk_crash() - power is cut now. */
void sim_disk_crash(struct sim_disk *d);

/** One operation in @one_in fails with -EIO; a failed fsync forgets what it should have written. 0: none. */
void sim_disk_glitches(struct sim_disk *d, uint64_t one_in);
bool sim_disk_glitched(struct sim_disk *d); /* since last asked */

/** sim_disk_quiet() - while checks look around, nothing fails and nothing ends. */
void sim_disk_quiet(struct sim_disk *d, bool quiet);

/** Bytes that somebody else takes away, of those that are free. */
void sim_disk_fill(struct sim_disk *d, uint64_t bytes);

/** sim_disk_rot() - one byte of a file changes on the medium; false when there is no such file. */
bool sim_disk_rot(struct sim_disk *d, enum sk_fs_dir dir, const char *name);

/** Bytes that a file takes, as the running system sees it; 0 when there is none. */
uint64_t sim_disk_room_of(struct sim_disk *d, enum sk_fs_dir dir, const char *name);

/** Is there a name in @dir that begins with @prefix, as the running system sees it? */
bool sim_disk_has_prefix(const struct sim_disk *d, enum sk_fs_dir dir, const char *prefix);
/** sim_disk_names_synced() - has every change of names in this folder arrived? */
bool sim_disk_names_synced(const struct sim_disk *d, enum sk_fs_dir dir);
/** sim_disk_left() - bytes that are free now */
uint64_t sim_disk_left(struct sim_disk *d);
