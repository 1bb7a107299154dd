/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "world.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "dts.h"
#include "engine/capsule/logs.h"
#include "model/image.h"
#include "store/fs.h"

struct world w;
static char *compatible[] = { (char *)"acme,box", NULL };

struct fault_plan disk_plan = { .fail_at = ~0u };

struct sk_fs *faulty_disk(struct sk_fs *real)
{
	struct sk_fs *fs = NULL;

	sk_fs_free(real);
	assert_int_equal(fault_fs_open(w.store_dir, &disk_plan, &fs), 0);
	return fs;
}

/* A hundred times as fast as life: a settle time of a second is over in ten milliseconds. */
#define SPEED 100

uint64_t __real_sk_mono_ms(void);
uint64_t __wrap_sk_mono_ms(void);
uint64_t __wrap_sk_mono_ms(void)
{
	return __real_sk_mono_ms() * SPEED;
}

int __real_sd_event_add_time(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
			     uint64_t accuracy, sd_event_time_handler_t fn, void *arg);
int __wrap_sd_event_add_time(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
			     uint64_t accuracy, sd_event_time_handler_t fn, void *arg);
int __wrap_sd_event_add_time(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec,
			     uint64_t accuracy, sd_event_time_handler_t fn, void *arg)
{
	uint64_t now = 0;

	(void)sd_event_now(e, clock, &now);
	if (usec > now)
		usec = now + (usec - now) / SPEED;
	return __real_sd_event_add_time(e, ret, clock, usec, 1, fn, arg);
}

/* Never called here: the routes that use it are tested with the real daemon. */
int sk_logs_open(struct sk_capsule *c, const struct sk_log_query *query,
		 int (*line)(void *arg, const struct sk_log_line *l), void (*end)(void *arg),
		 void *arg, struct sk_logs **ret, struct sk_err *err)
{
	return -ENOSYS;
}

void sk_logs_close(struct sk_logs *l)
{
}

static int make_intake(struct sk_err *err)
{
	const struct sk_verifier_config verifier = { .trust_dir = w.trust,
						     .compatible = compatible,
						     .clock = w.clock };
	struct sk_intake_config config = { .event = w.event,
					   .store = w.store,
					   .store_dir = w.store_dir,
					   .precheck_uid = PRECHECK_UID };
	int r = sk_claims_new(w.event, w.store, &w.claims, err);

	if (r == 0)
		r = sk_verifier_new(&verifier, &w.verifier, err);
	config.claims = w.claims;
	config.verifier = w.verifier;
	return r < 0 ? r : sk_intake_new(&config, &w.intake, err);
}

static int make_update(struct sk_err *err)
{
	const struct sk_update_config config = { .event = w.event,
						 .store = w.store,
						 .engine = w.engine,
						 .claims = w.claims,
						 .verifier = w.verifier,
						 .intake = w.intake,
						 .boot_id_file = w.boot_id };
	int r = sk_update_new(&config, &w.u, err);

	if (r == 0 && w.second_part)
		r = sk_update_add_part(w.u, w.second_part, NULL, err);
	return r < 0 ? r : sk_update_start(w.u, err);
}

void boot(void)
{
	struct sk_engine_config none = { 0 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_fs *fs = NULL;

	assert_true(sd_event_new(&w.event) >= 0);
	assert_int_equal(sk_fs_posix_open(w.store_dir, &fs), 0);
	assert_int_equal(sk_store_open_fs(w.mount ? w.mount(fs) : fs, &w.store, &err), 0);
	assert_int_equal(sk_engine_new(w.event, w.store, &none, &w.engine, &err), 0);
	if (make_intake(&err) < 0 || make_update(&err) < 0)
		fail_msg("%s", err.text);
	w.api = (struct sk_api){ .event = w.event,
				 .store = w.store,
				 .engine = w.engine,
				 .verifier = w.verifier,
				 .intake = w.intake,
				 .update = w.u,
				 .compatible = compatible };
	sk_api_start(&w.api);
}

void halt(void)
{
	sk_api_done(&w.api);
	sk_update_free(w.u);
	sk_intake_free(w.intake);
	sk_verifier_free(w.verifier);
	sk_claims_free(w.claims);
	sk_engine_free(w.engine);
	sk_store_close(w.store);
	sd_event_unref(w.event);
}

static void new_boot_id(void)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "boot-%u\n", ++w.boot);

	assert_int_equal(sk_file_write(AT_FDCWD, w.boot_id, text, (size_t)n, 0644), 0);
}

void power_cut(void)
{
	halt();
	fake_power_cut();
	new_boot_id();
	boot();
}

bool is_idle(void)
{
	return sk_machine_state(w.u->machine) == SK_UPD_IDLE &&
	       sk_capsule_part_removing(w.u->capsules) == 0;
}

void run_until_idle(void)
{
	UNTIL(is_idle());
}

int setup(void **state)
{
	const struct pki_who *roots[] = { &w.ca, NULL };

	w = (struct world){ .dir = "/tmp/sk-update-XXXXXX", .clock = SK_CLOCK_UNTRUSTED };
	assert_non_null(mkdtemp(w.dir));
	w.trust = sk_asprintf("%s/trust", w.dir);
	w.boot_id = sk_asprintf("%s/boot-id", w.dir);
	w.store_dir = sk_asprintf("%s/store", w.dir);
	w.ca = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	w.signer = pki_make(&(struct pki_spec){ .name = "builder", .issuer = &w.ca });
	w.stranger = pki_make(&(struct pki_spec){ .name = "stranger" });
	assert_int_equal(sk_mkdir_p(AT_FDCWD, w.trust, 0755), 0);
	pki_write_roots(w.trust, roots);
	fake_reset();
	new_boot_id();
	boot();
	run_until_idle();
	return 0;
}

int teardown(void **state)
{
	halt();
	fake_reset();
	sk_buf_done(&fake_trace);
	(void)sk_rm_rf(AT_FDCWD, w.dir);
	pki_free(&w.ca);
	pki_free(&w.signer);
	pki_free(&w.stranger);
	free(w.trust);
	free(w.boot_id);
	free(w.store_dir);
	return 0;
}

struct sk_image_ref make_image(const char *name, const char *salt, bool store)
{
	struct sk_image_info info = { .rootfs_size = 4096,
				      .name = (char *)name,
				      .arch = (char *)"amd64" };
	struct sk_image_ref ref = { .name = (char *)name };
	_cleanup_(sk_staged_closep) struct sk_staged *st = NULL;
	_cleanup_free_ char *tree = NULL, *all = NULL;
	size_t len;

	assert_int_equal(sk_image_build_tree(&info, (void **)&tree, &len, NULL), 0);
	all = calloc(1, len + 4096);
	memcpy(all, tree, len);
	(void)snprintf(all + len, 4096, "%s", salt);
	ref.size_bytes = len + 4096;
	assert_int_equal(sk_digest_of(all, ref.size_bytes, &ref.digest), 0);
	if (store && !sk_store_has(w.store, &ref.digest)) {
		assert_int_equal(sk_staged_open(w.store, &ref.digest, ref.size_bytes, &st, NULL),
				 0);
		assert_int_equal(sk_staged_write(st, all, ref.size_bytes, NULL), 0);
		assert_int_equal(sk_staged_commit(TAKE_PTR(st), NULL), 0);
	}
	return ref;
}

const char *const app_names[3] = { "db", "web", "job" };

/* A signer may write down any number; the builder would not. */
static void claim_size(void *dtb, size_t len, uint64_t size, uint64_t claim)
{
	const uint64_t from = htobe64(size), to = htobe64(claim);
	void *at;

	while ((at = memmem(dtb, len, &from, sizeof(from))))
		memcpy(at, &to, sizeof(to));
}

unsigned char *make_release(const struct spec *s, size_t *ret_len)
{
	_cleanup_buf_ struct sk_buf dts = SK_BUF(65536);
	_cleanup_free_ void *dtb = NULL, *pinned = NULL;
	char image_names[3][16];
	struct sk_image_ref images[3];
	size_t n = 0, len, pinned_len;
	struct sk_err err = SK_ERR_INIT;

	(void)sk_buf_addf(
		&dts,
		"/ { %s release { project = \"p\"; version = \"%s\"; compatible = \"%s\"; "
		"settle-time = \"1s\"; health-timeout = \"100s\"; %s }; apps { ",
		s->root ?: "persistent-boot;", s->version, s->type ?: "acme,box", s->extra ?: "");
	for (size_t i = 0; i < 3; i++) {
		if (!s->salts[i])
			continue;
		(void)snprintf(image_names[n], sizeof(image_names[n]), "%s.itb", app_names[i]);
		images[n] = make_image(image_names[n], s->salts[i], !s->no_images);
		(void)sk_buf_addf(&dts,
				  "%s { image = \"%s\"; command = \"/x\"; restart = \"always\"; };",
				  app_names[i], image_names[n]);
		n++;
	}
	(void)sk_buf_adds(&dts, "}; ");
	if (s->salts[0] && s->salts[1])
		(void)sk_buf_adds(&dts, "supervision { db = \"web\"; }; ");
	(void)sk_buf_adds(&dts, "};");
	dtb = dts_compile(dts.data, &len);
	if (sk_manifest_pin(dtb, len, images, n, s->created_s ?: 1000, &pinned, &pinned_len, &err) <
	    0)
		fail_msg("%s", err.text);
	if (s->claim)
		claim_size(pinned, pinned_len, images[0].size_bytes, s->claim);
	return pki_sign(pinned, pinned_len, s->stranger ? &w.stranger : &w.signer, EVP_sha256(),
			NULL, 0, ret_len);
}

int intake(const struct spec *s, struct sk_digest *ret, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	size_t len;
	_cleanup_free_ unsigned char *der = make_release(s, &len);
	int r = sk_intake_take(w.intake, der, len, &rel, err);

	if (r == 0)
		*ret = rel->id;
	return r;
}

uint64_t apply(const struct spec *s)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest id;
	uint64_t generation = 0;

	if (intake(s, &id, &err) < 0 || sk_update_apply(w.u, &id, &generation, &err) < 0)
		fail_msg("%s", err.text);
	return generation;
}

void go(const struct spec *s)
{
	apply(s);
	run_until_idle();
}

void expect_running(const struct spec *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fake_running(app_names[i], NULL), s->salts[i] ? 1 : 0);
		n += s->salts[i] ? 1 : 0;
	}
	assert_int_equal(fake_count(), n);
	assert_int_equal(fake_double_runs, 0);
	assert_string_equal(sk_generations_running(w.u->gens)->version, s->version);
}

char *release_path(const struct sk_digest *id)
{
	return sk_asprintf("%s/releases/%s.skr", w.store_dir, SK_DIGEST_STR(id));
}

static int count(void *arg, const struct sk_digest *id, uint64_t size)
{
	(*(unsigned *)arg)++;
	return 0;
}

unsigned releases_here(void)
{
	unsigned n = 0;

	assert_int_equal(sk_store_list_releases(w.store, count, &n), 0);
	return n;
}
