/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/fs.h"

/* Shared by the files of this folder only. */

/** struct sk_store - @adding are the open additions: one per image, or their bytes would mix */
struct sk_store {
	struct sk_fs *fs;
	struct sk_staged *adding;
};

#define SK_STORE_NAME_ROOM (SK_DIGEST_HEX + sizeof(".part"))

/** "<hex><suffix>" */
struct sk_store_name {
	char s[SK_STORE_NAME_ROOM];
};
struct sk_store_name sk_store_name(const struct sk_digest *d, const char *suffix);

/** Inverse: 0 or -EINVAL when @name is not such a name. */
int sk_store_name_parse(const char *name, const char *suffix, struct sk_digest *ret);

/** Is it the name of an image that is not complete yet? */
bool sk_store_is_part(const char *name);

/** One sentence and slug for whatever a file system answered; returns @code. */
int sk_store_fail(struct sk_err *err, int code, const char *what, const char *name);

/** Is an addition of this image open in this process? */
bool sk_store_adding(const struct sk_store *s, const struct sk_digest *d);

/** Finishes or removes what an interrupted addition left; called with the store still closed. */
int sk_staged_recover(struct sk_store *s);

/** Does the file hash to @d? 0, -EBADMSG when not, or what reading answered. */
int sk_store_check(struct sk_store *s, enum sk_fs_dir dir, const char *name,
		   const struct sk_digest *d);

/**
 * sk_store_take_out() - what could not be read or is not what it should be goes to quarantine
 * @why: what reading answered; anything that is no damage leaves the file where it is
 * Return: -EBADMSG ("damaged") when it was moved, else a negative errno
 */
int sk_store_take_out(struct sk_store *s, enum sk_fs_dir dir, const char *name, int why,
		      struct sk_err *err);

/** Room that only records may use: without it a full disk could not even be fallen back from. */
void sk_ballast_fill(struct sk_store *s);
int sk_ballast_drop(struct sk_store *s);
