/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "world.h"

/*
 * Seeded simulation of store, generations and update machine. Prints a TAP line.
 *   --steps N       in all (1000000)
 *   --seed N        of the first world; each world is one seed
 *   --world N       steps of one world (2000)
 *   --log N         what is logged at this level and above is shown (0: nothing; 7: all), for a replay
 *   --mutation N    something is wrong on purpose: passes only if that is noticed
 */
static struct options {
	uint64_t steps, seed, world;
	unsigned mutation, log;
} opt = { .steps = 1000000, .seed = 1, .world = 2000 };

static struct sim_world world;
static uint64_t seed_now;

static const char *mutation_name(unsigned m)
{
	static const char *const names[SIM_MUTATIONS] = {
		"none",
		"fsync of files dropped",
		"fsync of folders dropped",
		"fsync of images/ dropped",
		"fsync of records/ dropped",
		"fsync of releases/ dropped",
		"records replaced in place",
		"the second part is not reverted",
		"the second part lies about being active",
		"parts confirmed before the health gate looked",
		"good in spite of the health gate",
		"the second part comes first",
		"a failed apply ignored",
		"boots not counted",
	};

	return m < SIM_MUTATIONS ? names[m] : "?";
}

void sim_violation(const char *fmt, ...)
{
	bool expected = opt.mutation != SIM_NO_MUTATION;
	va_list ap;

	(void)printf("# seed %llu step %llu: ", (unsigned long long)seed_now,
		     (unsigned long long)world.steps);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n# replay: --seed %llu --steps %llu --mutation %u\n",
		     (unsigned long long)seed_now, (unsigned long long)world.steps, opt.mutation);
	(void)printf("%sok 1 - %s\n", expected ? "" : "not ",
		     expected ? mutation_name(opt.mutation) : "simulation");
	(void)fflush(stdout);
	/* _Exit: the world is in the middle of something, its memory is no leak. */
	_Exit(expected ? 0 : 1);
}

static int parse(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t v;

		if (sk_parse_u64(argv[i + 1], &v) < 0)
			return -1;
		if (sk_streq(argv[i], "--steps"))
			opt.steps = v;
		else if (sk_streq(argv[i], "--seed"))
			opt.seed = v;
		else if (sk_streq(argv[i], "--world") && v > 0)
			opt.world = v;
		else if (sk_streq(argv[i], "--log") && v <= SK_LOG_DEBUG)
			opt.log = (unsigned)v;
		else if (sk_streq(argv[i], "--mutation") && v < SIM_MUTATIONS)
			opt.mutation = (unsigned)v;
		else
			return -1;
	}
	return argc % 2 ? 0 : -1;
}

static void add_counts(struct sim_counts *sum, const struct sim_counts *c)
{
	sum->kills += c->kills;
	sum->cuts += c->cuts;
	sum->commits += c->commits;
	sum->refused += c->refused;
	sum->good += c->good;
	sum->bad += c->bad;
	sum->full += c->full;
	sum->collected += c->collected;
	sum->rebooted += c->rebooted;
	sum->downgrades += c->downgrades;
	sum->unsuitable += c->unsuitable;
	sum->slots += c->slots;
	sum->fallbacks += c->fallbacks;
	sum->part_failures += c->part_failures;
	sum->repairs += c->repairs;
}

static void print_counts(const struct sim_counts *c, uint64_t steps)
{
	(void)printf("# %llu steps from seed %llu: %llu power cuts, %llu kills, %llu reboots, "
		     "%llu images stored, %llu refused, %llu times full, %llu good, %llu bad, "
		     "%llu collected, %llu downgrades, %llu not suitable, "
		     "%llu slots switched, %llu fell back, %llu parts failed, %llu repairs\n",
		     (unsigned long long)steps, (unsigned long long)opt.seed,
		     (unsigned long long)c->cuts, (unsigned long long)c->kills,
		     (unsigned long long)c->rebooted, (unsigned long long)c->commits,
		     (unsigned long long)c->refused, (unsigned long long)c->full,
		     (unsigned long long)c->good, (unsigned long long)c->bad,
		     (unsigned long long)c->collected, (unsigned long long)c->downgrades,
		     (unsigned long long)c->unsuitable, (unsigned long long)c->slots,
		     (unsigned long long)c->fallbacks, (unsigned long long)c->part_failures,
		     (unsigned long long)c->repairs);
}

/* A run in which little happened proves little. */
static bool enough(const struct sim_counts *c, uint64_t steps)
{
	return steps < 100000 ||
	       (c->cuts > steps / 500 && c->kills > steps / 1000 && c->commits > steps / 500 &&
		c->refused > steps / 10000 && c->good > steps / 2000 && c->bad > steps / 2000 &&
		c->full > steps / 10000 && c->collected > steps / 2000 &&
		c->downgrades > steps / 100000 && c->unsuitable > steps / 1000 &&
		c->slots > steps / 5000 && c->fallbacks > steps / 20000 &&
		c->part_failures > steps / 1000 && c->repairs > steps / 10000);
}

int main(int argc, char **argv)
{
	struct sim_counts sum = { 0 };
	uint64_t done = 0;

	if (parse(argc, argv) < 0) {
		(void)fputs(
			"usage: sim [--steps N] [--seed N] [--world N] [--log N] [--mutation N]\n",
			stderr);
		return 2;
	}
	sk_log_open("sim", (enum sk_log_level)opt.log);
	(void)printf("1..1\n");
	for (seed_now = opt.seed; done < opt.steps; seed_now++) {
		uint64_t steps = SK_MIN(opt.world, opt.steps - done);

		sim_world_init(&world, seed_now, (enum sim_mutation)opt.mutation);
		while (world.steps < steps)
			sim_world_step(&world);
		add_counts(&sum, &world.counts);
		sim_world_done(&world);
		done += steps;
	}
	print_counts(&sum, done);
	if (opt.mutation != SIM_NO_MUTATION || !enough(&sum, done)) {
		(void)printf("not ok 1 - %s\n",
			     opt.mutation ? mutation_name(opt.mutation) : "too little happened");
		return 1;
	}
	(void)printf("ok 1 - simulation\n");
	return 0;
}
