/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inode.h"

#define FILES_MAX   512 /* per folder */
#define PENDING_MAX 96
#define FDS_MAX	    32
#define NAME_SIZE   96

struct entry {
	char name[NAME_SIZE];
	struct sim_inode *inode; /* as a pending change: NULL removes the name */
};

/* @seen is what the running system sees; @stable plus any part of @pending is what a cut leaves. */
struct folder {
	struct entry seen[FILES_MAX], stable[FILES_MAX];
	size_t n_seen, n_stable;
	struct entry pending[PENDING_MAX];
	size_t n_pending;
};

struct sim_fs {
	struct sk_fs fs;
	struct sim_disk *disk;
};

struct sim_disk {
	struct folder dirs[SK_FS_DIRS];
	struct sim_inode *fds[FDS_MAX];
	struct rng *rng;
	uint64_t capacity, filled;
	uint64_t round;	   /* of counting what is used */
	uint64_t ops_left; /* 0: nothing planned */
	enum sim_end end;
	enum sim_mutation mutation;
	uint64_t glitch_one_in;
	bool glitched, dead, locked, quiet;
};

struct sim_disk *sim_disk_new(struct rng *rng, uint64_t capacity, enum sim_mutation mutation)
{
	struct sim_disk *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	d->rng = rng;
	d->capacity = capacity;
	d->mutation = mutation;
	return d;
}

static void set_entry(struct entry *table, size_t *n, const char *name, struct sim_inode *inode)
{
	size_t i = 0;

	while (i < *n && strcmp(table[i].name, name) != 0)
		i++;
	if (i < *n) {
		sim_inode_unref(table[i].inode);
		table[i] = table[--*n];
	}
	if (!inode)
		return;
	if (*n == FILES_MAX)
		abort();
	(void)snprintf(table[*n].name, NAME_SIZE, "%s", name);
	table[(*n)++].inode = sim_inode_ref(inode);
}

static struct sim_inode *get_entry(struct folder *f, const char *name)
{
	for (size_t i = 0; i < f->n_seen; i++)
		if (strcmp(f->seen[i].name, name) == 0)
			return f->seen[i].inode;
	return NULL;
}

static void arrive(struct folder *f, size_t i)
{
	set_entry(f->stable, &f->n_stable, f->pending[i].name, f->pending[i].inode);
	sim_inode_unref(f->pending[i].inode);
}

/* The first @n changes are on the medium. */
static void write_out(struct folder *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		arrive(f, i);
	f->n_pending -= n;
	memmove(f->pending, f->pending + n, f->n_pending * sizeof(f->pending[0]));
}

static void change(struct folder *f, const char *name, struct sim_inode *inode)
{
	struct entry *p;

	/* The system does not wait for ever either. */
	if (f->n_pending == PENDING_MAX)
		write_out(f, PENDING_MAX / 2);
	p = &f->pending[f->n_pending++];
	(void)snprintf(p->name, NAME_SIZE, "%s", name);
	p->inode = inode ? sim_inode_ref(inode) : NULL;
	set_entry(f->seen, &f->n_seen, name, inode);
}

static void clear_seen(struct folder *f)
{
	while (f->n_seen > 0)
		sim_inode_unref(f->seen[--f->n_seen].inode);
}

void sim_disk_free(struct sim_disk *d)
{
	for (int i = 0; i < FDS_MAX; i++)
		sim_inode_unref(d->fds[i]);
	for (int dir = 0; dir < SK_FS_DIRS; dir++) {
		struct folder *f = &d->dirs[dir];

		write_out(f, f->n_pending);
		clear_seen(f);
		while (f->n_stable > 0)
			sim_inode_unref(f->stable[--f->n_stable].inode);
	}
	free(d);
}

void sim_disk_sync(struct sim_disk *d)
{
	for (int dir = 0; dir < SK_FS_DIRS; dir++) {
		struct folder *f = &d->dirs[dir];

		write_out(f, f->n_pending);
		for (size_t i = 0; i < f->n_seen; i++)
			sim_inode_sync(f->seen[i].inode);
	}
}

/* A random part of the changes arrived, in a random order. */
static void crash_folder(struct folder *f, struct rng *rng)
{
	uint64_t share = rng_below(rng, 5);

	while (f->n_pending > 0) {
		size_t i = rng_below(rng, f->n_pending);

		if (rng_below(rng, 4) < share)
			set_entry(f->stable, &f->n_stable, f->pending[i].name, f->pending[i].inode);
		sim_inode_unref(f->pending[i].inode);
		f->pending[i] = f->pending[--f->n_pending];
	}
	clear_seen(f);
	for (size_t i = 0; i < f->n_stable; i++)
		set_entry(f->seen, &f->n_seen, f->stable[i].name, f->stable[i].inode);
}

void sim_disk_crash(struct sim_disk *d)
{
	for (int dir = 0; dir < SK_FS_DIRS; dir++)
		crash_folder(&d->dirs[dir], d->rng);
	for (int dir = 0; dir < SK_FS_DIRS; dir++)
		for (size_t i = 0; i < d->dirs[dir].n_seen; i++)
			sim_inode_crash(d->dirs[dir].seen[i].inode, d->rng);
}

void sim_disk_end_after(struct sim_disk *d, uint64_t ops, enum sim_end how)
{
	d->ops_left = ops;
	d->end = how;
}

enum sim_end sim_disk_ended_how(const struct sim_disk *d)
{
	return d->end;
}

bool sim_disk_names_synced(const struct sim_disk *d, enum sk_fs_dir dir)
{
	return d->dirs[dir].n_pending == 0;
}

void sim_disk_end_now(struct sim_disk *d, enum sim_end how)
{
	if (d->dead)
		return;
	d->dead = true;
	d->end = how;
	if (how == SIM_POWER_CUT)
		sim_disk_crash(d);
}

bool sim_disk_dead(const struct sim_disk *d)
{
	return d->dead;
}

void sim_disk_revive(struct sim_disk *d)
{
	d->dead = false;
	d->ops_left = 0;
	for (int i = 0; i < FDS_MAX; i++) {
		sim_inode_unref(d->fds[i]);
		d->fds[i] = NULL;
	}
}

void sim_disk_glitches(struct sim_disk *d, uint64_t one_in)
{
	d->glitch_one_in = one_in;
}

bool sim_disk_glitched(struct sim_disk *d)
{
	bool was = d->glitched;

	d->glitched = false;
	return was;
}

void sim_disk_quiet(struct sim_disk *d, bool quiet)
{
	d->quiet = quiet;
}

bool sim_disk_rot(struct sim_disk *d, enum sk_fs_dir dir, const char *name)
{
	struct sim_inode *i = get_entry(&d->dirs[dir], name);
	size_t at;

	if (!i || i->size == 0)
		return false;
	at = rng_below(d->rng, i->size);
	i->stable[at] = i->seen[at] ^ 0x10;
	/* What is in memory is right for as long as it is there. */
	if (i->dirty[at / SIM_SECTOR] || rng_one_in(d->rng, 2))
		i->seen[at] = i->stable[at];
	return true;
}

uint64_t sim_disk_room_of(struct sim_disk *d, enum sk_fs_dir dir, const char *name)
{
	const struct sim_inode *i = get_entry(&d->dirs[dir], name);

	return i ? i->size : 0;
}

bool sim_disk_has_prefix(const struct sim_disk *d, enum sk_fs_dir dir, const char *prefix)
{
	const struct folder *f = &d->dirs[dir];

	for (size_t i = 0; i < f->n_seen; i++)
		if (strncmp(f->seen[i].name, prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

/* The operations. */

static struct sim_disk *disk_of(struct sk_fs *fs)
{
	return sk_container_of(fs, struct sim_fs, fs)->disk;
}

/* Each operation asks first: is the machine still there, and does the disk answer? */
static int step(struct sim_disk *d)
{
	if (d->dead)
		return -EIO;
	if (d->quiet)
		return 0;
	if (d->ops_left > 0 && --d->ops_left == 0) {
		sim_disk_end_now(d, d->end);
		return -EIO;
	}
	if (d->glitch_one_in && rng_one_in(d->rng, d->glitch_one_in)) {
		d->glitched = true;
		return -EIO;
	}
	return 0;
}

static int take_fd(struct sim_disk *d, struct sim_inode *i)
{
	for (int fd = 0; fd < FDS_MAX; fd++) {
		if (!d->fds[fd]) {
			d->fds[fd] = sim_inode_ref(i);
			return fd;
		}
	}
	sim_violation("descriptors leak");
}

static uint64_t used_by(const struct entry *table, size_t n, uint64_t round)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		struct sim_inode *inode = table[i].inode;

		if (inode->counted != round)
			sum += SK_MAX(inode->size, inode->reserved);
		inode->counted = round;
	}
	return sum;
}

/* What was removed takes its room until the removal is on the medium, as a journal has it. */
static uint64_t used(struct sim_disk *d)
{
	uint64_t sum = d->filled;

	d->round++;
	for (int dir = 0; dir < SK_FS_DIRS; dir++) {
		sum += used_by(d->dirs[dir].seen, d->dirs[dir].n_seen, d->round);
		sum += used_by(d->dirs[dir].stable, d->dirs[dir].n_stable, d->round);
	}
	return sum;
}

static uint64_t free_bytes(struct sim_disk *d)
{
	uint64_t sum = used(d);

	return sum < d->capacity ? d->capacity - sum : 0;
}

uint64_t sim_disk_left(struct sim_disk *d)
{
	return free_bytes(d);
}

void sim_disk_fill(struct sim_disk *d, uint64_t bytes)
{
	d->filled = 0;
	d->filled = SK_MIN(bytes, free_bytes(d));
}

static int op_lock(struct sk_fs *fs)
{
	struct sim_disk *d = disk_of(fs);
	int r = step(d);

	if (r == 0 && d->locked)
		sim_violation("the store is opened twice");
	if (r == 0)
		d->locked = true;
	return r;
}

static int op_mkdir(struct sk_fs *fs, enum sk_fs_dir dir)
{
	return step(disk_of(fs));
}

static int op_open(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, enum sk_fs_open how)
{
	struct sim_disk *d = disk_of(fs);
	struct sim_inode *i = get_entry(&d->dirs[dir], name);
	int fd, r = step(d);

	if (r < 0)
		return r;
	if (!i && how == SK_FS_READ)
		return -ENOENT;
	if (i && i->sealed && how != SK_FS_READ)
		sim_violation("sealed %s/%s is opened for writing", sk_fs_dir_name(dir), name);
	if (i) {
		if (how == SK_FS_CREATE)
			sim_inode_truncate(i, 0);
		return take_fd(d, i);
	}
	if (free_bytes(d) == 0)
		return -ENOSPC;
	i = sim_inode_new();
	change(&d->dirs[dir], name, i);
	fd = take_fd(d, i);
	sim_inode_unref(i);
	return fd;
}

static void op_close(struct sk_fs *fs, int fd)
{
	struct sim_disk *d = disk_of(fs);

	sim_inode_unref(d->fds[fd]);
	d->fds[fd] = NULL;
}

static ssize_t op_pread(struct sk_fs *fs, int fd, void *buf, size_t len, uint64_t offset)
{
	struct sim_disk *d = disk_of(fs);
	struct sim_inode *i = d->fds[fd];
	int r = step(d);

	if (r < 0)
		return r;
	if (offset >= i->size)
		return 0;
	len = SK_MIN(len, i->size - (size_t)offset);
	/* Sometimes less than asked, as a signal may have it. */
	if (len > 1 && rng_one_in(d->rng, 16))
		len = 1 + rng_below(d->rng, len);
	memcpy(buf, i->seen + offset, len);
	return (ssize_t)len;
}

static ssize_t op_pwrite(struct sk_fs *fs, int fd, const void *buf, size_t len, uint64_t offset)
{
	struct sim_disk *d = disk_of(fs);
	struct sim_inode *i = d->fds[fd];
	uint64_t room, more;
	int r = step(d);

	if (r < 0)
		return r;
	if (i->sealed)
		sim_violation("a sealed file is written to");
	if (len > 1 && rng_one_in(d->rng, 16))
		len = 1 + rng_below(d->rng, len);
	room = SK_MAX(i->size, i->reserved) + free_bytes(d);
	if (offset >= room)
		return -ENOSPC;
	more = room - offset;
	len = SK_MIN(len, more);
	sim_inode_write(i, buf, len, offset);
	return (ssize_t)len;
}

static int op_truncate(struct sk_fs *fs, int fd, uint64_t size)
{
	struct sim_disk *d = disk_of(fs);
	int r = step(d);

	if (r == 0) {
		sim_inode_truncate(d->fds[fd], size);
		d->fds[fd]->reserved = 0;
	}
	return r;
}

static int op_allocate(struct sk_fs *fs, int fd, uint64_t size)
{
	struct sim_disk *d = disk_of(fs);
	struct sim_inode *i = d->fds[fd];
	uint64_t have = SK_MAX(i->size, i->reserved);
	int r = step(d);

	if (r < 0)
		return r;
	if (rng_one_in(d->rng, 4))
		return -EOPNOTSUPP;
	if (size > have && size - have > free_bytes(d))
		return -ENOSPC;
	i->reserved = SK_MAX(have, size);
	return 0;
}

static void op_flush_start(struct sk_fs *fs, int fd, uint64_t offset, uint64_t len)
{
}

static void op_reread(struct sk_fs *fs, int fd)
{
	sim_inode_reread(disk_of(fs)->fds[fd]);
}

/* Writing out is where disks fail most. */
static int sync_step(struct sim_disk *d)
{
	int r = step(d);

	if (r == 0 && !d->quiet && d->glitch_one_in && rng_one_in(d->rng, 40)) {
		d->glitched = true;
		/* Often the daemon does not live to clean up after it. */
		if (rng_one_in(d->rng, 3))
			sim_disk_end_after(d, 1 + rng_below(d->rng, 2), SIM_KILL);
		return -EIO;
	}
	return r;
}

static int op_fsync(struct sk_fs *fs, int fd)
{
	struct sim_disk *d = disk_of(fs);
	int r = sync_step(d);

	if (r < 0 && !d->dead)
		sim_inode_lose(d->fds[fd]);
	if (r == 0 && d->mutation != SIM_DROP_FSYNC)
		sim_inode_sync(d->fds[fd]);
	return r;
}

static int op_seal(struct sk_fs *fs, int fd, enum sk_fs_dir dir, const char *name)
{
	struct sim_disk *d = disk_of(fs);
	int r = step(d);

	if (r == 0) {
		d->fds[fd]->sealed = true;
		r = op_fsync(fs, fd);
	}
	op_close(fs, fd);
	return r;
}

static int op_stat(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, struct sk_fs_stat *ret)
{
	struct sim_disk *d = disk_of(fs);
	struct sim_inode *i = get_entry(&d->dirs[dir], name);

	if (d->dead)
		return -EIO;
	if (!i)
		return -ENOENT;
	*ret = (struct sk_fs_stat){
		.size_bytes = i->size,
		.allocated_bytes = SK_MAX(i->size, i->reserved),
		.regular = true,
		.sealed = i->sealed,
	};
	return 0;
}

/* The mutation: the name keeps its file, which gets new bytes and is not synced again. */
static int replace_in_place(struct sim_disk *d, struct folder *f, const char *from, const char *to)
{
	struct sim_inode *i = get_entry(f, from), *target = get_entry(f, to);

	sim_inode_truncate(target, 0);
	sim_inode_write(target, i->seen, i->size, 0);
	change(f, from, NULL);
	return 0;
}

static int op_rename(struct sk_fs *fs, enum sk_fs_dir from, const char *from_name,
		     enum sk_fs_dir to, const char *to_name)
{
	struct sim_disk *d = disk_of(fs);
	struct sim_inode *i = get_entry(&d->dirs[from], from_name);
	int r = step(d);

	if (r < 0)
		return r;
	if (!i)
		return -ENOENT;
	if (d->mutation == SIM_REPLACE_IN_PLACE && from == to && get_entry(&d->dirs[to], to_name))
		return replace_in_place(d, &d->dirs[to], from_name, to_name);
	(void)sim_inode_ref(i);
	change(&d->dirs[to], to_name, i);
	change(&d->dirs[from], from_name, NULL);
	sim_inode_unref(i);
	return 0;
}

static int op_unlink(struct sk_fs *fs, enum sk_fs_dir dir, const char *name)
{
	struct sim_disk *d = disk_of(fs);
	int r = step(d);

	if (r < 0)
		return r;
	if (!get_entry(&d->dirs[dir], name))
		return -ENOENT;
	change(&d->dirs[dir], name, NULL);
	return 0;
}

static int op_list(struct sk_fs *fs, enum sk_fs_dir dir, int (*each)(void *arg, const char *name),
		   void *arg)
{
	struct sim_disk *d = disk_of(fs);
	int r = step(d);

	for (size_t i = 0; r == 0 && i < d->dirs[dir].n_seen; i++)
		r = each(arg, d->dirs[dir].seen[i].name);
	return r;
}

static bool sync_dropped(const struct sim_disk *d, enum sk_fs_dir dir)
{
	return d->mutation == SIM_DROP_DIR_SYNC ||
	       (d->mutation == SIM_DROP_IMAGES_SYNC && dir == SK_FS_IMAGES) ||
	       (d->mutation == SIM_DROP_RECORDS_SYNC && dir == SK_FS_RECORDS) ||
	       (d->mutation == SIM_DROP_RELEASES_SYNC && dir == SK_FS_RELEASES);
}

static int op_sync_dir(struct sk_fs *fs, enum sk_fs_dir dir)
{
	struct sim_disk *d = disk_of(fs);
	int r = step(d);

	if (r == 0 && !sync_dropped(d, dir))
		write_out(&d->dirs[dir], d->dirs[dir].n_pending);
	return r;
}

static int op_space(struct sk_fs *fs, struct sk_fs_space *ret)
{
	struct sim_disk *d = disk_of(fs);
	int r = step(d);

	*ret = (struct sk_fs_space){
		.free_bytes = free_bytes(d),
		.total_bytes = d->capacity,
	};
	return r;
}

static void op_free(struct sk_fs *fs)
{
	disk_of(fs)->locked = false;
	free(sk_container_of(fs, struct sim_fs, fs));
}

static const struct sk_fs_ops sim_ops = {
	.lock = op_lock,
	.mkdir = op_mkdir,
	.open = op_open,
	.close = op_close,
	.pread = op_pread,
	.pwrite = op_pwrite,
	.truncate = op_truncate,
	.allocate = op_allocate,
	.flush_start = op_flush_start,
	.reread = op_reread,
	.fsync = op_fsync,
	.seal = op_seal,
	.stat = op_stat,
	.rename = op_rename,
	.unlink = op_unlink,
	.list = op_list,
	.sync_dir = op_sync_dir,
	.space = op_space,
	.free = op_free,
};

struct sk_fs *sim_disk_mount(struct sim_disk *d)
{
	struct sim_fs *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->fs.ops = &sim_ops;
	s->disk = d;
	return &s->fs;
}
