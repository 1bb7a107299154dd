/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/runtime/container/cgroup.h"

static int setup(void **state)
{
	char *dir = strdup("/tmp/test-cgroup-XXXXXX");

	*state = mkdtemp(dir);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	int r = sk_rm_rf(AT_FDCWD, *state);

	free(*state);
	return r;
}

static void put(const char *root, const char *path, const char *text)
{
	_cleanup_free_ char *full = sk_asprintf("%s/%s", root, path);
	_cleanup_free_ char *parent = sk_asprintf("%s", full);

	*strrchr(parent, '/') = '\0';
	assert_int_equal(sk_mkdir_p(AT_FDCWD, parent, 0755), 0);
	assert_int_equal(sk_file_write(AT_FDCWD, full, text, strlen(text), 0644), 0);
}

static void one_tree(void **state)
{
	struct sk_cgroup cg;

	put(*state, "cgroup.controllers", "cpuset cpu io memory pids\n");
	sk_cgroup_detect(*state, &cg);
	assert_true(cg.v2 && cg.memory && cg.cpu && cg.pids);
	assert_false(cg.swap);
	put(*state, "memory.swap.max", "a file of the root group says nothing");
	sk_cgroup_detect(*state, &cg);
	assert_false(cg.swap);
	put(*state, "system.slice/memory.swap.max", "max");
	sk_cgroup_detect(*state, &cg);
	assert_true(cg.swap);
	/* "cpuset" is not "cpu". */
	put(*state, "cgroup.controllers", "cpuset hugetlb");
	sk_cgroup_detect(*state, &cg);
	assert_true(cg.v2);
	assert_false(cg.memory || cg.swap || cg.cpu || cg.pids);
	put(*state, "cgroup.controllers", "");
	sk_cgroup_detect(*state, &cg);
	assert_true(cg.v2);
}

static void tree_per_controller(void **state)
{
	struct sk_cgroup cg;

	put(*state, "memory/tasks", "");
	put(*state, "pids", "a file is no controller");
	sk_cgroup_detect(*state, &cg);
	assert_true(cg.memory);
	assert_false(cg.v2 || cg.cpu || cg.pids);
}

static void nothing_mounted(void **state)
{
	struct sk_cgroup cg;

	sk_cgroup_detect("/no/such/folder", &cg);
	assert_false(cg.v2 || cg.memory || cg.cpu || cg.pids);
	assert_false(sk_cgroup_oom_killed("/no/such/folder", &cg, "/x"));
	sk_cgroup_kill("/no/such/folder", &cg, "/x");
}

static void oom(void **state)
{
	struct sk_cgroup v2 = { .v2 = true }, v1 = { 0 };

	assert_false(sk_cgroup_oom_killed(*state, &v2, "/skerry/x"));
	put(*state, "skerry/x/memory.events", "low 0\noom 3\noom_kill 0\noom_group_kill 0\n");
	assert_false(sk_cgroup_oom_killed(*state, &v2, "/skerry/x"));
	put(*state, "skerry/x/memory.events", "oom_kill 2\n");
	assert_true(sk_cgroup_oom_killed(*state, &v2, "/skerry/x"));
	put(*state, "memory/skerry/x/memory.oom_control", "oom_kill_disable 0\noom_kill 1\n");
	assert_true(sk_cgroup_oom_killed(*state, &v1, "/skerry/x"));
}

static void kill_writes_and_removes(void **state)
{
	struct sk_cgroup v2 = { .v2 = true };
	_cleanup_free_ char *path = sk_asprintf("%s/skerry/x/cgroup.kill", (char *)*state);
	_cleanup_free_ char *text = NULL;

	put(*state, "skerry/x/cgroup.kill", "0");
	sk_cgroup_kill(*state, &v2, "/skerry/x");
	assert_int_equal(sk_file_read(AT_FDCWD, path, 10, &text, NULL), 0);
	assert_string_equal(text, "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_tree, setup, teardown),
		cmocka_unit_test_setup_teardown(tree_per_controller, setup, teardown),
		cmocka_unit_test(nothing_mounted),
		cmocka_unit_test_setup_teardown(oom, setup, teardown),
		cmocka_unit_test_setup_teardown(kill_writes_and_removes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
