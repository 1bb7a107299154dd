/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

/**
 * struct sk_machine - @at: how many parts the present state is through with
 * @waiting:  for a part's done()
 * @starting: since the present state began, a part said that the new starts
 * @failing:  something of the present way did not work, and the way goes on all the same
 * @reason:   why it goes back, for the record and for people; "" when there is nothing to say
 */
struct sk_machine {
	struct sk_generations *gens;
	struct sk_machine_host host;
	struct sk_part parts[SK_MACHINE_PARTS_MAX];
	size_t n_parts, at;
	struct sk_part_target target;
	enum sk_upd_state state;
	bool waiting, starting, failing, halted;
	char reason[SK_GEN_REASON_MAX];
};

int sk_machine_new(struct sk_generations *gens, const struct sk_machine_host *host,
		   struct sk_machine **ret, struct sk_err *err)
{
	struct sk_machine *m = calloc(1, sizeof(*m));

	if (!m)
		return sk_err_oom(err);
	m->gens = gens;
	m->host = *host;
	*ret = m;
	return 0;
}

void sk_machine_free(struct sk_machine *m)
{
	free(m);
}

int sk_machine_add_part(struct sk_machine *m, const struct sk_part_ops *ops, void *part,
			struct sk_err *err)
{
	if (m->n_parts == SK_MACHINE_PARTS_MAX)
		return sk_err_set(err, -E2BIG, "too-many", "an update has at most %d parts",
				  SK_MACHINE_PARTS_MAX);
	m->parts[m->n_parts++] = (struct sk_part){ ops, part };
	return 0;
}

void sk_machine_set_target(struct sk_machine *m, const struct sk_part_target *to)
{
	m->target = *to;
}

enum sk_upd_state sk_machine_state(const struct sk_machine *m)
{
	return m->state;
}

bool sk_machine_halted(const struct sk_machine *m)
{
	return m->halted;
}

void sk_machine_halt(struct sk_machine *m)
{
	m->halted = true;
}

/* On the way back the reason is why it goes back, and that is known already. */
static void machine_fail(struct sk_machine *m, const char *why)
{
	if (!sk_upd_is_back(m->state) || !m->reason[0])
		(void)snprintf(m->reason, sizeof(m->reason), "%.*s", SK_GEN_REASON_MAX - 1, why);
	else
		sk_warning("after going back: %s", why);
}

/* A write that fails leaves the record as it was; the device then acts on what is on disk. */
static int machine_record(struct sk_machine *m, unsigned actions)
{
	struct sk_err err = SK_ERR_INIT;
	int r = 0;

	if (actions & SK_UPD_ACT_RECORD_GOOD)
		r = sk_generations_healthy(m->gens, &err);
	if (actions & SK_UPD_ACT_RECORD_BAD)
		r = sk_generations_unhealthy(m->gens,
					     m->reason[0] ? m->reason : "it did not come up", &err);
	if (r < 0)
		sk_error("cannot record the generation: %s", err.text);
	return r;
}

static void machine_emit(struct sk_machine *m)
{
	m->host.emit(m->host.arg, sk_upd_step_name(m->state, m->starting), m->reason);
}

static void machine_act(struct sk_machine *m, unsigned actions)
{
	if (actions & (SK_UPD_ACT_STAGE | SK_UPD_ACT_ACTIVATE | SK_UPD_ACT_REVERT))
		m->host.defer(m->host.arg);
	if (actions & SK_UPD_ACT_WATCH)
		m->host.watch(m->host.arg);
	if (actions & SK_UPD_ACT_REBOOT)
		m->host.reboot(m->host.arg);
	if (actions & SK_UPD_ACT_COLLECT)
		m->host.collect(m->host.arg);
	if (m->state == SK_UPD_IDLE)
		m->host.idle(m->host.arg, actions & SK_UPD_ACT_REPAIR);
	if (actions & SK_UPD_ACT_CONFIRM)
		sk_machine_go_on(m);
}

static void machine_enter(struct sk_machine *m, enum sk_upd_state to)
{
	m->state = to;
	m->at = 0;
	m->starting = false;
	if (to != SK_UPD_CONFIRMING)
		m->failing = false;
}

static void machine_feed(struct sk_machine *m, enum sk_upd_event ev)
{
	enum sk_upd_state from = m->state, to;
	unsigned actions;

	if (sk_upd_next(from, ev, &to, &actions) < 0) {
		sk_debug("update: %s means nothing while %s", sk_upd_event_name(ev),
			 sk_upd_state_name(from));
		return;
	}
	sk_info("update: %s -> %s (%s)%s%s", sk_upd_state_name(from), sk_upd_state_name(to),
		sk_upd_event_name(ev), m->reason[0] ? ": " : "", m->reason);
	/*
	 * What cannot be recorded as good must not be treated as good. As bad: the way back is the
	 * safe one, and the record is found in trying at the next start, which counts its boots.
	 */
	if (machine_record(m, actions) < 0 && (actions & SK_UPD_ACT_RECORD_GOOD)) {
		(void)snprintf(m->reason, sizeof(m->reason), "cannot record that it is good");
		machine_feed(m, SK_UPD_EV_UNWELL);
		return;
	}
	machine_enter(m, to);
	if (actions & SK_UPD_ACT_RECORD_GOOD)
		m->host.proved(m->host.arg);
	if (actions & SK_UPD_ACT_RECORD_BAD)
		m->host.retarget(m->host.arg);
	/* Settling and confirming are one step to people. */
	if (to != SK_UPD_CONFIRMING)
		machine_emit(m);
	if (to == SK_UPD_IDLE)
		m->reason[0] = '\0';
	machine_act(m, actions);
}

int sk_machine_can_apply(const struct sk_machine *m, struct sk_err *err)
{
	enum sk_upd_state to;
	unsigned actions;

	if (m->halted)
		return sk_err_set(err, -ESHUTDOWN, "bad-state",
				  "the capsules are stopped, until skerryd is started again");
	if (sk_upd_next(m->state, SK_UPD_EV_APPLY, &to, &actions) == 0)
		return 0;
	return sk_err_set(err, -EBUSY, "bad-state",
			  "the device is %s already; try again when it is done",
			  sk_upd_step_name(m->state, m->starting));
}

int sk_machine_apply(struct sk_machine *m, const struct sk_part_target *to, struct sk_err *err)
{
	int r = sk_machine_can_apply(m, err);

	if (r < 0)
		return r;
	r = sk_generations_apply(m->gens, to->generation, err);
	if (r < 0)
		return r;
	m->reason[0] = '\0';
	m->target = *to;
	machine_feed(m, SK_UPD_EV_APPLY);
	return 0;
}

void sk_machine_start(struct sk_machine *m)
{
	const struct sk_generation *run = sk_generations_running(m->gens);

	machine_feed(m, run && run->state == SK_GEN_TRYING ? SK_UPD_EV_TRYING : SK_UPD_EV_RESTORE);
}

void sk_machine_restore(struct sk_machine *m)
{
	if (!m->halted && m->state == SK_UPD_IDLE)
		machine_feed(m, SK_UPD_EV_RESTORE);
}

/* The first part that does not run the target, or NULL. */
static const struct sk_part *machine_find_inactive(const struct sk_machine *m)
{
	for (size_t i = 0; i < m->n_parts; i++)
		if (!m->parts[i].ops->is_active(m->parts[i].part, &m->target))
			return &m->parts[i];
	return NULL;
}

void sk_machine_verdict(struct sk_machine *m, bool well, const char *reason)
{
	const struct sk_part *inactive = well ? machine_find_inactive(m) : NULL;
	char text[96];

	if (m->halted || (m->state != SK_UPD_SETTLING && m->state != SK_UPD_BACK_SETTLING))
		return;
	if (inactive) {
		(void)snprintf(text, sizeof(text), "the device does not run its %s",
			       inactive->ops->name);
		well = false;
		reason = text;
	}
	if (!well)
		machine_fail(m, reason);
	m->failing = !well;
	machine_feed(m, well ? SK_UPD_EV_WELL : SK_UPD_EV_UNWELL);
}

/* --- part after part --- */

static int machine_call(struct sk_machine *m, struct sk_err *err)
{
	bool back = m->state == SK_UPD_REVERTING;
	const struct sk_part *p = &m->parts[back ? m->n_parts - 1 - m->at : m->at];

	switch (m->state) {
	case SK_UPD_STAGING:
		return p->ops->stage(p->part, &m->target, err);
	case SK_UPD_ACTIVATING:
		return p->ops->activate(p->part, &m->target, err);
	case SK_UPD_REVERTING:
		return p->ops->revert(p->part, &m->target, err);
	case SK_UPD_CONFIRMING:
		return p->ops->confirm(p->part, &m->target, err);
	case SK_UPD_IDLE:
	case SK_UPD_SETTLING:
	case SK_UPD_BACK_SETTLING:
	case SK_UPD_REBOOTING:
		break;
	}
	return SK_PART_LATER;
}

static bool machine_has_steps(const struct sk_machine *m)
{
	return m->state == SK_UPD_STAGING || m->state == SK_UPD_ACTIVATING ||
	       m->state == SK_UPD_REVERTING || m->state == SK_UPD_CONFIRMING;
}

/* A part has ended with @r. Return: does the present state go on with the next one? */
static bool machine_part_ended(struct sk_machine *m, int r, struct sk_err *err)
{
	bool forward = m->state == SK_UPD_STAGING || m->state == SK_UPD_ACTIVATING;

	if (r == SK_PART_REBOOT && !m->host.reboot)
		r = sk_err_set(err, -EOPNOTSUPP, "not-supported",
			       "the machine cannot be restarted from here");
	if (r == SK_PART_REBOOT) {
		machine_feed(m, SK_UPD_EV_REBOOT);
		return false;
	}
	m->at++;
	if (r >= 0)
		return true;
	machine_fail(m, err->text);
	m->failing = true;
	if (!forward)
		return true;
	machine_feed(m, SK_UPD_EV_FAILED);
	return false;
}

void sk_machine_go_on(struct sk_machine *m)
{
	while (!m->halted && !m->waiting && machine_has_steps(m) && m->at < m->n_parts) {
		struct sk_err err = SK_ERR_INIT;
		int r = machine_call(m, &err);

		if (r == SK_PART_LATER) {
			m->waiting = true;
			return;
		}
		if (!machine_part_ended(m, r, &err))
			return;
	}
	if (!m->halted && !m->waiting && machine_has_steps(m))
		machine_feed(m, m->failing ? SK_UPD_EV_FAILED : SK_UPD_EV_DONE);
}

static void machine_part_done(void *arg, int outcome, const struct sk_err *why)
{
	struct sk_machine *m = arg;
	struct sk_err err = why ? *why : SK_ERR_INIT;

	m->waiting = false;
	if (!m->halted && machine_part_ended(m, outcome, &err))
		sk_machine_go_on(m);
}

static void machine_part_starting(void *arg)
{
	struct sk_machine *m = arg;

	if (m->halted || m->starting)
		return;
	m->starting = true;
	machine_emit(m);
}

struct sk_part_host sk_machine_part_host(struct sk_machine *m)
{
	return (struct sk_part_host){ .done = machine_part_done,
				      .starting = machine_part_starting,
				      .arg = m };
}
