/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inventory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/str.h"
#include "io/json.h"

#define OS_RELEASE_MAX 16384
#define ADDRESSES_MAX  32
/* Free room changes all the time: rounded, so that only a large change makes a message. */
#define FREE_STEP_BYTES (UINT64_C(256) << 20)

static void put(json_t *j, const char *key, json_t *steals)
{
	if (steals)
		(void)json_object_set_new(j, key, steals);
}

static void add_kernel(json_t *j)
{
	struct utsname u;

	if (uname(&u) < 0)
		return;
	put(j, "kernel", json_string(u.release));
	put(j, "architecture", json_string(u.machine));
}

/* PRETTY_NAME="Debian GNU/Linux 13 (trixie)" */
static void add_os(json_t *j)
{
	_cleanup_free_ char *text = NULL;
	char *at;
	size_t len;

	if (sk_file_read(AT_FDCWD, "/etc/os-release", OS_RELEASE_MAX, &text, &len) < 0)
		return;
	at = strstr(text, "PRETTY_NAME=");
	if (!at)
		return;
	at += strlen("PRETTY_NAME=");
	at[strcspn(at, "\n")] = '\0';
	if (*at == '"' && at[strlen(at) - 1] == '"' && strlen(at) > 1) {
		at[strlen(at) - 1] = '\0';
		at++;
	}
	put(j, "os", json_string(at));
}

static void add_memory(json_t *j)
{
	struct sysinfo info;

	if (sysinfo(&info) == 0)
		put(j, "memory_bytes",
		    json_integer((json_int_t)info.totalram * (json_int_t)info.mem_unit));
}

static void add_disk(json_t *j, const char *path)
{
	struct statvfs fs;
	uint64_t free_bytes;

	if (statvfs(path, &fs) < 0)
		return;
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize / FREE_STEP_BYTES * FREE_STEP_BYTES;
	put(j, "disk",
	    json_pack("{s:I, s:I}", "total_bytes",
		      (json_int_t)fs.f_blocks * (json_int_t)fs.f_frsize, "free_bytes",
		      (json_int_t)free_bytes));
}

static json_t *address_json(const struct ifaddrs *a)
{
	char text[INET6_ADDRSTRLEN];
	const void *raw;

	if (a->ifa_addr->sa_family == AF_INET)
		raw = &((const struct sockaddr_in *)a->ifa_addr)->sin_addr;
	else if (a->ifa_addr->sa_family == AF_INET6)
		raw = &((const struct sockaddr_in6 *)a->ifa_addr)->sin6_addr;
	else
		return NULL;
	if (!inet_ntop(a->ifa_addr->sa_family, raw, text, sizeof(text)))
		return NULL;
	return json_pack("{s:s, s:s}", "interface", a->ifa_name, "address", text);
}

static void add_addresses(json_t *j)
{
	json_t *list = json_array();
	struct ifaddrs *all = NULL;

	if (!list || getifaddrs(&all) < 0) {
		json_decref(list);
		return;
	}
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		json_t *one = NULL;

		if (a->ifa_addr && !(a->ifa_flags & IFF_LOOPBACK) &&
		    json_array_size(list) < ADDRESSES_MAX)
			one = address_json(a);
		if (one)
			(void)json_array_append_new(list, one);
	}
	freeifaddrs(all);
	put(j, "addresses", list);
}

static void add_device(json_t *j, struct sk_device_link *device)
{
	static const char *const from_status[] = { "generation", "good", "capsules" };
	_cleanup_json_ json_t *status = NULL;
	const char *daemon = NULL;

	if (sk_device_get(device, "/status", &status, NULL) < 0 || !json_is_object(status))
		return;
	(void)sk_json_get_str(status, "skerry", &daemon, NULL);
	put(j, "skerryd", daemon ? json_string(daemon) : NULL);
	for (size_t i = 0; i < ARRAY_SIZE(from_status); i++)
		put(j, from_status[i], json_incref(json_object_get(status, from_status[i])));
}

json_t *sk_inventory_collect(const struct sk_agent_config *config, struct sk_device_link *device)
{
	json_t *j = json_object();

	if (!j)
		return NULL;
	put(j, "name", json_string(config->name));
	put(j, "compatible", sk_json_strv(config->compatible));
	put(j, "agent", json_string(SK_VERSION));
	add_kernel(j);
	add_os(j);
	add_memory(j);
	add_disk(j, "/var/lib");
	add_addresses(j);
	add_device(j, device);
	return j;
}
