/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/api/api.h"
#include "engine/update/private.h"
#include "fake_engine.h"
#include "fault.h"
#include "pki_fixture.h"

/*
 * The whole of engine/update over a real store, real generations and real signatures, a hundred times
 * as fast as life; only the capsules are not there. Everything fails the test on error.
 */
struct world {
	char dir[32];
	char *trust, *boot_id, *store_dir;
	struct pki_who ca, signer, stranger;
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *engine;
	struct sk_claims *claims;
	struct sk_verifier *verifier;
	struct sk_intake *intake;
	struct sk_update *u;
	const struct sk_part_ops
		*second_part; /* of updates from the next boot() on; NULL for none */
	struct sk_api api;
	unsigned boot;
	enum sk_clock_policy clock; /* of the next boot() */
	struct sk_fs *(*mount)(
		struct sk_fs *real); /* lays something over the disk at the next boot() */
};
extern struct world w;

/** Whom the children that check what comes become. */
#define PRECHECK_UID (geteuid() == 0 ? 65534 : 0)

/** For w.mount: a disk on which the operations fail that @disk_plan says. */
extern struct fault_plan disk_plan;
struct sk_fs *faulty_disk(struct sk_fs *real);

/** For each test: a device that has just been switched on for the first time. */
int setup(void **state);
int teardown(void **state);

void boot(void);
void halt(void);
/** The machine restarts, with all capsules ended. */
void power_cut(void);
/** Nothing is under way, the removal of old capsules included. */
bool is_idle(void);
void run_until_idle(void);
/** The loop goes on until that is so; fails the test when it never is. */
#define UNTIL(condition)                                                  \
	do {                                                              \
		for (int _i = 0; !(condition); _i++) {                    \
			assert_true(_i < 10000);                          \
			assert_true(sd_event_run(w.event, 1000000) >= 0); \
		}                                                         \
	} while (0)

/** An image whose content is its @salt; in the store afterwards when @store says so. */
struct sk_image_ref make_image(const char *name, const char *salt, bool store);

struct spec {
	const char *version;
	const char *salts[3]; /* of the images of "db", "web", "job"; NULL: no such app */
	const char *extra;    /* in the release node */
	const char *root;     /* in the root node, default persistent-boot */
	const char *type;     /* default acme,box */
	bool stranger, no_images;
	int64_t created_s; /* default 1000 */
	uint64_t claim;	   /* what the manifest says instead of the first image's size */
};
extern const char *const app_names[3];

/** A signed release file, owned by the caller. */
unsigned char *make_release(const struct spec *s, size_t *ret_len);
int intake(const struct spec *s, struct sk_digest *ret, struct sk_err *err);
uint64_t apply(const struct spec *s);
/** apply(), and what comes of it. */
void go(const struct spec *s);
/** Just its capsules, each once, under its version. */
void expect_running(const struct spec *s);
/** How many release files the store has. */
unsigned releases_here(void);
/** Where the store has the file; owned by the caller. */
char *release_path(const struct sk_digest *id);

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
