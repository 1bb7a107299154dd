/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/generations.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define PREFIX	    "generation-"
#define LINK_RECORD "current"

/* More than a lost link can have given out above the numbers on record, as none is used twice. */
#define LOST_NUMBERS 100

/* Earlier than this program was written: the clock was never set. */
#define CLOCK_FLOOR_S 1767225600 /* 2026-01-01 */

/**
 * struct sk_generations - @all in the order of their numbers
 * @unsaved: the disk did not take the record of the same index; it must before anything else moves
 * @parked:   good, and cannot run; see sk_generations_park()
 * @unread:  there are records that the disk does not give out
 * @link:    as it is on disk
 */
struct sk_generations {
	struct sk_store *store;
	struct sk_generation all[SK_GENERATIONS_MAX];
	bool unsaved[SK_GENERATIONS_MAX], parked[SK_GENERATIONS_MAX];
	bool unread;
	size_t n;
	struct sk_gen_link link;
};

struct record_name {
	char s[sizeof(PREFIX) + 20];
};

/* Padded, so that the store's order of names is the order of numbers. */
static struct record_name name_of(uint64_t number)
{
	struct record_name n;

	(void)snprintf(n.s, sizeof(n.s), PREFIX "%020llu", (unsigned long long)number);
	return n;
}

static int number_of(const char *name, uint64_t *ret)
{
	if (!sk_str_starts(name, PREFIX) || strlen(name) != sizeof(PREFIX) - 1 + 20)
		return -EINVAL;
	return sk_parse_u64(name + sizeof(PREFIX) - 1, ret);
}

static int64_t now_s(void)
{
	int64_t now = sk_wall_s();

	return now < CLOCK_FLOOR_S ? 0 : now;
}

static int gens_save(struct sk_generations *g, const struct sk_generation *gen, struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf text = SK_BUF(SK_GEN_RECORD_MAX);
	int r = sk_gen_encode(gen, &text);

	if (r < 0)
		return sk_err_set(err, r, "internal", "generation %llu cannot be written down",
				  (unsigned long long)gen->number);
	return sk_store_put_record(g->store, name_of(gen->number).s, text.data, text.len, err);
}

static int gens_save_link(struct sk_generations *g, const struct sk_gen_link *link,
			  struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf text = SK_BUF(SK_GEN_RECORD_MAX);
	int r = sk_gen_link_encode(link, &text);

	if (r < 0)
		return sk_err_oom(err);
	r = sk_store_put_record(g->store, LINK_RECORD, text.data, text.len, err);
	if (r == 0)
		g->link = *link;
	return r;
}

static uint64_t current_number(const struct sk_generations *g)
{
	const struct sk_generation *floor = sk_generations_floor(g);

	return floor ? floor->number : 0;
}

/*
 * The record of the generation is what decides; the link follows it. So a failure here is no
 * failure of the move: the link is put right with the next move or at the next start.
 */
static void follow_link(struct sk_generations *g)
{
	struct sk_gen_link link = g->link;
	struct sk_err why = SK_ERR_INIT;

	link.current = current_number(g);
	if (link.current != g->link.current && gens_save_link(g, &link, &why) < 0)
		sk_debug("link to generation %llu: %s", (unsigned long long)link.current, why.text);
}

static void forget_at(struct sk_generations *g, size_t i)
{
	memmove(&g->all[i], &g->all[i + 1], (g->n - i - 1) * sizeof(g->all[0]));
	memmove(&g->unsaved[i], &g->unsaved[i + 1], (g->n - i - 1) * sizeof(g->unsaved[0]));
	memmove(&g->parked[i], &g->parked[i + 1], (g->n - i - 1) * sizeof(g->parked[0]));
	g->n--;
	g->unsaved[g->n] = g->parked[g->n] = false;
}

/* What becomes of a move that cannot be recorded. */
enum on_failure {
	STAY,  /* it does not happen */
	LEAVE, /* it happens in memory: otherwise something bad would go on running */
};

/*
 * Records again what the disk refused: otherwise a generation that is bad would still stand there
 * as the one to try, and come before a later decision.
 */
static int gens_save_unsaved(struct sk_generations *g, struct sk_err *err)
{
	for (size_t i = 0; i < g->n; i++) {
		int r = g->unsaved[i] ? gens_save(g, &g->all[i], err) : 0;

		if (r < 0)
			return r;
		g->unsaved[i] = false;
	}
	return 0;
}

static int write_move(struct sk_generations *g, const struct sk_generation *next, unsigned actions,
		      enum on_failure on_failure, struct sk_err *err)
{
	int r = on_failure == STAY ? gens_save_unsaved(g, err) : 0;

	if (r < 0)
		return r;
	if (actions & SK_GEN_ACT_SAVE)
		r = gens_save(g, next, err);
	if (r < 0)
		return r;
	return actions & SK_GEN_ACT_FORGET
		       ? sk_store_del_record(g->store, name_of(next->number).s, err)
		       : 0;
}

/* One move of one generation: recorded first, then true. */
static int gens_move(struct sk_generations *g, size_t i, enum sk_gen_event ev, const char *reason,
		     enum on_failure on_failure, struct sk_err *err)
{
	struct sk_generation next = g->all[i];
	unsigned actions = 0;
	int r;

	if (sk_gen_step(&next, ev, reason, now_s(), &actions) < 0)
		return sk_err_set(err, -EINVAL, "bad-state", "generation %llu is %s: no %s now",
				  (unsigned long long)next.number, sk_gen_state_name(next.state),
				  sk_gen_event_name(ev));
	r = write_move(g, &next, actions, on_failure, err);
	if (r < 0 && on_failure == STAY)
		return r;
	g->all[i] = next;
	g->unsaved[i] = r < 0;
	if (actions & SK_GEN_ACT_FORGET)
		forget_at(g, i);
	if (actions & SK_GEN_ACT_LINK)
		follow_link(g);
	return r;
}

static int gens_find(const struct sk_generations *g, uint64_t number)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->all[i].number == number)
			return (int)i;
	return -1;
}

static int gens_find_trying(const struct sk_generations *g)
{
	int i = sk_gen_pick_running(g->all, g->n);

	return i >= 0 && g->all[i].state == SK_GEN_TRYING ? i : -1;
}

/*
 * A record that is damaged or on a bad sector costs that generation only, not the start of the device.
 */
static int decode(const char *text, size_t len, uint64_t number, struct sk_generation *ret)
{
	int r = sk_gen_decode(text, len, ret);

	return r == 0 && ret->number != number ? -EBADMSG : r;
}

static int gens_load_one(struct sk_generations *g, const char *name, uint64_t number,
			 struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	struct sk_generation gen;
	size_t len;
	int r = sk_store_get_record(g->store, name, &text, &len, err);

	if (r == -ENOMEM)
		return r;
	g->unread = g->unread || (r < 0 && r != -EFBIG);
	if (r == 0)
		r = decode(text, len, number, &gen);
	if (r == -ENOMEM)
		return sk_err_oom(err);
	if (r < 0) {
		sk_error("record %s cannot be used and is left out: %s", name, strerror(-r));
		return 0;
	}
	/* Over the bound only by foreign hands: the oldest are of the least use. */
	if (g->n == SK_GENERATIONS_MAX)
		forget_at(g, 0);
	g->all[g->n++] = gen;
	return 0;
}

static int gens_load_link(struct sk_generations *g, bool *ret_lost, struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	struct sk_err why = SK_ERR_INIT;
	size_t len;
	int r = sk_store_get_record(g->store, LINK_RECORD, &text, &len, &why);

	*ret_lost = false;
	g->link = (struct sk_gen_link){ .next = 1 };
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = sk_gen_link_decode(text, len, &g->link);
	*ret_lost = r < 0;
	return r == -ENOMEM ? sk_err_oom(err) : 0;
}

static int gens_load(struct sk_generations *g, struct sk_err *err)
{
	_cleanup_strv_ char **names = NULL;
	bool lost = false;
	int r = sk_store_list_records(g->store, &names, err);

	if (r < 0)
		return r;
	r = gens_load_link(g, &lost, err);
	if (r < 0)
		return r;
	SK_STRV_FOREACH (name, names) {
		uint64_t number;

		if (number_of(*name, &number) < 0 || number == UINT64_MAX)
			continue;
		/* Damaged or not, this number was given out. */
		g->link.next = SK_MAX(g->link.next, number + 1);
		r = gens_load_one(g, *name, number, err);
		if (r < 0)
			return r;
	}
	if (lost)
		g->link.next = SK_MAX(g->link.next, g->link.next + LOST_NUMBERS);
	return 0;
}

/* Is one with a higher number good, or tried? Then @i could not become the newest good one any more. */
static bool gens_superseded(const struct sk_generations *g, size_t i)
{
	for (size_t k = i + 1; k < g->n; k++)
		if (g->all[k].state == SK_GEN_TRYING || g->all[k].state == SK_GEN_GOOD)
			return true;
	return false;
}

/*
 * At most one is tried at a time, and it is the newest. Others are there only when a record comes
 * back that could not be read meanwhile.
 */
static void end_older_tries(struct sk_generations *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->all[i].state == SK_GEN_TRYING && gens_superseded(g, i))
			(void)gens_move(g, i, SK_GEN_EV_CANCEL, "a later one was tried", LEAVE,
					NULL);
}

int sk_generations_open(struct sk_store *s, struct sk_generations **ret, struct sk_err *err)
{
	_cleanup_(sk_generations_closep) struct sk_generations *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return sk_err_oom(err);
	g->store = s;
	r = gens_load(g, err);
	if (r < 0)
		return r;
	end_older_tries(g);
	follow_link(g);
	*ret = TAKE_PTR(g);
	return 0;
}

void sk_generations_close(struct sk_generations *g)
{
	free(g);
}

static const char *boot_reason(const struct sk_generation *gen, char buf[static 96])
{
	if (gen->ephemeral)
		return "the machine restarted before it proved healthy; it was not to last";
	(void)snprintf(buf, 96, "not healthy after %u of %u boots", gen->boots, gen->boots_max);
	return buf;
}

/* What one restart of the machine does to one generation. */
static int boot_one(struct sk_generations *g, size_t i, struct sk_err *err)
{
	struct sk_generation *gen = &g->all[i];
	enum sk_gen_event ev = sk_gen_boot_event(gen);
	char buf[96];
	int r;

	if (ev == SK_GEN_EV_BOOT && gen->state != SK_GEN_TRYING)
		return 0;
	if (ev == SK_GEN_EV_BOOTS_SPENT || ev == SK_GEN_EV_REBOOT)
		return gens_move(g, i, ev, boot_reason(gen, buf), LEAVE, err);
	r = gens_move(g, i, ev, NULL, STAY, err);
	if (r < 0)
		(void)gens_move(g, i, SK_GEN_EV_UNHEALTHY, "its boot could not be recorded", LEAVE,
				NULL);
	return r;
}

int sk_generations_boot(struct sk_generations *g, bool new_boot, const struct sk_generation **ret,
			struct sk_err *err)
{
	int first = 0;

	/* Backwards: forgetting one moves only those after it. */
	for (size_t i = new_boot ? g->n : 0; i-- > 0;) {
		int r = boot_one(g, i, first == 0 ? err : NULL);

		if (first == 0)
			first = r;
	}
	*ret = sk_generations_running(g);
	if (first == 0 && g->unread)
		first = sk_err_set(err, -EIO, "io", "not all generations could be read");
	return first;
}

bool sk_generations_whole(const struct sk_generations *g)
{
	return !g->unread;
}

static int check_new(const struct sk_gen_new *what, struct sk_err *err)
{
	const char *project = what->project ? what->project : "";

	if (!*what->version ||
	    strlen(what->version) >= sizeof(((struct sk_generation *)0)->version) ||
	    !sk_gen_text_ok(what->version))
		return sk_err_set(err, -EINVAL, "bad-value", "not a version: '%.64s'",
				  what->version);
	if (*project && !sk_name_ok(project))
		return sk_err_set(err, -EINVAL, "bad-value", "not a project's name: '%.64s'",
				  project);
	return 0;
}

static int gens_find_same(const struct sk_generations *g, const struct sk_gen_new *what)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->all[i].state == SK_GEN_STAGED && !gens_superseded(g, i) &&
		    g->all[i].ephemeral == what->ephemeral &&
		    g->all[i].boots_max == what->boots_max &&
		    sk_digest_equal(&g->all[i].release, what->release))
			return (int)i;
	return -1;
}

static int make_place(struct sk_generations *g, struct sk_err *err)
{
	int r;

	if (g->n < SK_GENERATIONS_MAX)
		return 0;
	r = sk_generations_collect(g, 2, err);
	if (r < 0 || g->n < SK_GENERATIONS_MAX)
		return r;
	return sk_err_set(err, -ENOSPC, "too-many",
			  "%d generations are on record; apply or cancel one of them",
			  SK_GENERATIONS_MAX);
}

/* The number is recorded as given out before it is used, so that no power cut lets it be given out twice. */
static int take_number(struct sk_generations *g, uint64_t *ret, struct sk_err *err)
{
	struct sk_gen_link link = g->link;

	*ret = link.next;
	if (link.next == UINT64_MAX)
		return sk_err_set(err, -ERANGE, "too-many", "no generation number is left");
	link.next++;
	return gens_save_link(g, &link, err);
}

int sk_generations_add(struct sk_generations *g, const struct sk_gen_new *what,
		       uint64_t *ret_number, struct sk_err *err)
{
	struct sk_generation gen = { .state = SK_GEN_STAGED, .ephemeral = what->ephemeral };
	int same, r = check_new(what, err);

	if (r < 0)
		return r;
	same = gens_find_same(g, what);
	if (same >= 0) {
		*ret_number = g->all[same].number;
		return 0;
	}
	gen.release = *what->release;
	gen.boots_max = what->boots_max;
	gen.changed_s = now_s();
	(void)snprintf(gen.project, sizeof(gen.project), "%s", what->project ? what->project : "");
	(void)snprintf(gen.version, sizeof(gen.version), "%s", what->version);
	r = make_place(g, err);
	if (r < 0)
		return r;
	r = take_number(g, &gen.number, err);
	if (r < 0)
		return r;
	r = gens_save(g, &gen, err);
	if (r < 0)
		return r;
	g->all[g->n++] = gen;
	*ret_number = gen.number;
	return 0;
}

int sk_generations_stage(struct sk_generations *g, const struct sk_digest *release,
			 const char *version, bool ephemeral, uint32_t boots_max,
			 uint64_t *ret_number, struct sk_err *err)
{
	const struct sk_gen_new what = {
		.release = release,
		.version = version,
		.ephemeral = ephemeral,
		.boots_max = boots_max,
	};

	return sk_generations_add(g, &what, ret_number, err);
}

static int not_found(uint64_t number, struct sk_err *err)
{
	return sk_err_set(err, -ENOENT, "not-found", "there is no generation %llu",
			  (unsigned long long)number);
}

int sk_generations_apply(struct sk_generations *g, uint64_t number, struct sk_err *err)
{
	int i = gens_find(g, number), trying = gens_find_trying(g);

	if (i < 0)
		return not_found(number, err);
	if (trying >= 0)
		return sk_err_set(err, -EBUSY, "bad-state",
				  "generation %llu is being tried; wait for its outcome",
				  (unsigned long long)g->all[trying].number);
	if (g->all[i].state == SK_GEN_STAGED && gens_superseded(g, (size_t)i))
		return sk_err_set(
			err, -EINVAL, "bad-state",
			"a later generation than %llu was applied; stage its release again",
			(unsigned long long)number);
	return gens_move(g, (size_t)i, SK_GEN_EV_APPLY, NULL, STAY, err);
}

int sk_generations_cancel(struct sk_generations *g, uint64_t number, const char *reason,
			  struct sk_err *err)
{
	int i = gens_find(g, number);

	return i < 0 ? not_found(number, err)
		     : gens_move(g, (size_t)i, SK_GEN_EV_CANCEL, reason, LEAVE, err);
}

static int gens_verdict(struct sk_generations *g, enum sk_gen_event ev, const char *reason,
			enum on_failure on_failure, struct sk_err *err)
{
	int i = gens_find_trying(g);

	if (i < 0)
		return sk_err_set(err, -EINVAL, "bad-state", "no generation is being tried");
	return gens_move(g, (size_t)i, ev, reason, on_failure, err);
}

int sk_generations_healthy(struct sk_generations *g, struct sk_err *err)
{
	return gens_verdict(g, SK_GEN_EV_HEALTHY, NULL, STAY, err);
}

int sk_generations_unhealthy(struct sk_generations *g, const char *reason, struct sk_err *err)
{
	return gens_verdict(g, SK_GEN_EV_UNHEALTHY, reason, LEAVE, err);
}

static const struct sk_generation *gens_at(const struct sk_generations *g, int i)
{
	return i < 0 ? NULL : &g->all[i];
}

const struct sk_generation *sk_generations_running(const struct sk_generations *g)
{
	int trying = gens_find_trying(g);

	return trying >= 0 ? gens_at(g, trying) : sk_generations_good(g);
}

const struct sk_generation *sk_generations_good(const struct sk_generations *g)
{
	int i = sk_gen_pick_good(g->all, g->n, false);

	while (i >= 0 && g->parked[i])
		i = sk_gen_pick_good(g->all, (size_t)i, false);
	return gens_at(g, i);
}

void sk_generations_park(struct sk_generations *g, uint64_t number, bool parked)
{
	int i = gens_find(g, number);

	if (i >= 0)
		g->parked[i] = parked;
}

bool sk_generations_is_parked(const struct sk_generations *g, uint64_t number)
{
	int i = gens_find(g, number);

	return i >= 0 && g->parked[i];
}

const struct sk_generation *sk_generations_floor(const struct sk_generations *g)
{
	return gens_at(g, sk_gen_pick_good(g->all, g->n, true));
}

const struct sk_generation *sk_generations_get(const struct sk_generations *g, uint64_t number)
{
	return gens_at(g, gens_find(g, number));
}

const struct sk_generation *sk_generations_all(const struct sk_generations *g, size_t *ret_n)
{
	*ret_n = g->n;
	return g->all;
}

/* Is @i kept for being one of the last @keep_good, or the last bad one with nothing good after it? */
static bool gens_recent(const struct sk_generations *g, size_t i, unsigned keep_good)
{
	unsigned good_after = 0, bad_after = 0;

	for (size_t k = i + 1; k < g->n; k++) {
		good_after += g->all[k].state == SK_GEN_GOOD;
		bad_after += g->all[k].state == SK_GEN_BAD;
	}
	if (g->all[i].state == SK_GEN_GOOD)
		return good_after < keep_good;
	return good_after == 0 && bad_after == 0;
}

static bool gens_needed(const struct sk_generations *g, size_t i, unsigned keep_good)
{
	const struct sk_generation *gen = &g->all[i];

	if (gen->state == SK_GEN_STAGED)
		return !gens_superseded(g, i);
	return gen->state == SK_GEN_TRYING || gen == sk_generations_running(g) ||
	       gen == sk_generations_good(g) || gen == sk_generations_floor(g) ||
	       gens_recent(g, i, keep_good);
}

/* Records that could not be read at start: their numbers are in the link, nothing else is lost. */
static int remove_damaged(struct sk_generations *g, struct sk_err *err)
{
	_cleanup_strv_ char **names = NULL;
	int r = sk_store_list_records(g->store, &names, err);

	if (r < 0)
		return r;
	SK_STRV_FOREACH (name, names) {
		uint64_t number;

		if (number_of(*name, &number) < 0 || gens_find(g, number) >= 0)
			continue;
		r = sk_store_del_record(g->store, *name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int sk_generations_collect(struct sk_generations *g, unsigned keep_good, struct sk_err *err)
{
	struct sk_gen_link link = g->link;
	int r;

	if (g->unread)
		return sk_err_set(err, -EIO, "io",
				  "a record cannot be read, and so what it needs is not known");
	/*
	 * Rebuilt after damage, the next number is known only here until it is written; and the link
	 * must not stay behind on one that goes now.
	 */
	link.current = current_number(g);
	r = gens_save_link(g, &link, err);
	if (r < 0)
		return r;
	for (size_t i = g->n; i-- > 0;) {
		if (gens_needed(g, i, keep_good))
			continue;
		r = sk_store_del_record(g->store, name_of(g->all[i].number).s, err);
		if (r < 0)
			return r;
		forget_at(g, i);
	}
	return remove_damaged(g, err);
}

static int same_on_disk(struct sk_generations *g, const char *name, const struct sk_buf *expected)
{
	_cleanup_free_ char *got = NULL;
	size_t len = 0;
	int r = sk_store_get_record(g->store, name, &got, &len, NULL);

	if (r == -ENOMEM)
		return r;
	return r == 0 && len == expected->len && memcmp(got, expected->data, len) == 0;
}

/* Return: 1 when it is right, 0 when it was written anew */
static int verify_one(struct sk_generations *g, size_t i, struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf text = SK_BUF(SK_GEN_RECORD_MAX);
	int r = sk_gen_encode(&g->all[i], &text);

	if (r < 0)
		return r;
	r = same_on_disk(g, name_of(g->all[i].number).s, &text);
	if (r != 0)
		return r;
	r = gens_save(g, &g->all[i], err);
	if (r < 0)
		return r;
	g->unsaved[i] = false;
	return 0;
}

static int verify_link(struct sk_generations *g, struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf text = SK_BUF(SK_GEN_RECORD_MAX);
	int r = sk_gen_link_encode(&g->link, &text);

	if (r < 0)
		return r;
	r = same_on_disk(g, LINK_RECORD, &text);
	return r != 0 ? r : gens_save_link(g, &g->link, err);
}

/* Those that are on disk and were not read. */
static int add_unknown(struct sk_generations *g, char ***ret, struct sk_err *err)
{
	_cleanup_strv_ char **names = NULL;
	int n = 0, r = sk_store_list_records(g->store, &names, err);

	if (r < 0)
		return r;
	SK_STRV_FOREACH (name, names) {
		uint64_t number;

		if (number_of(*name, &number) < 0 || gens_find(g, number) >= 0)
			continue;
		if (sk_strv_add(ret, *name) < 0)
			return sk_err_oom(err);
		n++;
	}
	return n;
}

int sk_generations_verify(struct sk_generations *g, char ***ret_damaged, struct sk_err *err)
{
	int r, n = add_unknown(g, ret_damaged, err);

	for (size_t i = 0; n >= 0 && i < g->n; i++) {
		r = verify_one(g, i, err);
		if (r == 0)
			r = sk_strv_add(ret_damaged, name_of(g->all[i].number).s);
		n = r < 0 ? r : n + 1;
	}
	/* A device that never had a generation has no link. */
	if (n <= 0)
		return n;
	r = verify_link(g, err);
	if (r == 0)
		r = sk_strv_add(ret_damaged, LINK_RECORD);
	return r < 0 ? r : n + 1;
}
