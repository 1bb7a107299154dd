/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/job.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/skerry-fuzz-job-XXXXXX";

static void clean_up(void)
{
	(void)sk_rm_rf(AT_FDCWD, dir);
}

static void put(const uint8_t *data, size_t size)
{
	char path[sizeof(dir) + sizeof("/job.json")];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/job.json", dir);
	f = fopen(path, "w");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		abort();
}

/* Any bytes as the agent's job in progress. What was taken is a name, and is saved and read as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;
	struct sk_job job, again;
	struct sk_err err = SK_ERR_INIT;

	if (!made) {
		sk_log_open("fuzz", SK_LOG_ERR);
		if (!mkdtemp(dir) || atexit(clean_up) != 0)
			abort();
		made = true;
	}
	put(data, size);
	if (sk_job_load(dir, &job, &err) != 1)
		return 0;
	if (!sk_name_ok(job.id))
		abort();
	if (sk_job_save(dir, &job, &err) < 0 || sk_job_load(dir, &again, &err) != 1 ||
	    !sk_streq(job.id, again.id) || !sk_digest_equal(&job.release, &again.release) ||
	    job.base_generation != again.base_generation || !sk_streq(job.reason, again.reason))
		abort();
	return 0;
}
