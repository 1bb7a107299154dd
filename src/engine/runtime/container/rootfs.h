/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/runtime/container/user.h"
#include "model/manifest.h"

/*
 * What a capsule sees of the file system, mounted below its folder in the engine's run folder:
 *   rootfs/       the image, with a layer over it where one is needed
 *   skel/, upper/ layers (upper/ lies in the state folder when the root is writable)
 *   vol/<n>/      persistent folders, in the order of the app
 *   dev/<n>       nodes of granted devices, owned by the capsule's user
 * Nothing of it is unpacked or copied. sk_rootfs_umount() undoes all, however far it got.
 */

/**
 * struct sk_rootfs - where and for whom to mount
 * @dir:        the capsule's folder, absolute; all strings are borrowed
 * @upper_dir:  folder on disk for a writable root, or NULL
 * @volume_dir: folder of all persistent folders
 * @uid_base:   host id of the capsule's root
 * @userns_fd:  from sk_idmap_userns(); -1 where ids cannot be mapped
 */
struct sk_rootfs {
	const char *dir, *upper_dir, *volume_dir;
	uint32_t uid_base;
	int userns_fd;
};

/**
 * sk_rootfs_mount_image() - mount the root file system of an image at rootfs/, read-only
 * @image: where it is mounted already, from sk_image_mount_get()
 * A file system that the kernel cannot show with mapped ids is mounted as it is: then the image's
 * files belong to nobody inside, and only what everybody may read can be read.
 */
int sk_rootfs_mount_image(const struct sk_rootfs *r, const char *image, struct sk_err *err);

/**
 * sk_rootfs_add_layers() - a writable layer, or folders that are missing as mount points
 * @targets: absolute paths inside that must be folders; NULL-terminated
 */
int sk_rootfs_add_layers(const struct sk_rootfs *r, char *const *targets, struct sk_err *err);

/** sk_rootfs_mount_volumes() - make those that are new for @owner; mount all at vol/<n> */
int sk_rootfs_mount_volumes(const struct sk_rootfs *r, const struct sk_app *app,
			    const struct sk_user *owner, struct sk_err *err);

/** sk_rootfs_make_devices() - nodes of the granted devices at dev/<n>; nothing on the host changes */
int sk_rootfs_make_devices(const struct sk_rootfs *r, const struct sk_app *app,
			   const struct sk_user *owner, struct sk_err *err);

/** sk_rootfs_umount() - unmount everything below @dir, last mounted first. 0 or -errno */
int sk_rootfs_umount(const char *dir);

/** sk_mountinfo_path() - the mount point of a line of mountinfo(5), unescaped; "" when malformed */
const char *sk_mountinfo_path(const char *line, char *buf, size_t size);
