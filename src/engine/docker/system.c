/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/docker/docker.h"
#include "engine/runtime/runtime.h"

json_t *sk_docker_error_body(const struct sk_http_req *req, const struct sk_err *err)
{
	const char *path = sk_http_path(req);

	if (path && sk_str_starts(path, "/skerry/"))
		return json_pack("{s:s, s:s}", "error", err->slug, "message", err->text);
	return json_pack("{s:s}", "message", err->text);
}

const char *sk_docker_strip_version(const char *path)
{
	const char *s = path;

	if (!sk_str_starts(s, "/v") || !isdigit((unsigned char)s[2]))
		return path;
	s += 2 + strspn(s + 2, "0123456789.");
	return *s == '/' ? s : path;
}

int sk_docker_check_version(const char *path, struct sk_err *err)
{
	const char *version = path + strlen("/v");
	char *minor, *end;
	unsigned long v;
	int len;

	if (sk_docker_strip_version(path) == path)
		return 0;
	len = (int)SK_MIN(strcspn(version, "/"), (size_t)16);
	v = SK_MIN(strtoul(version, &minor, 10), 999ul) * 1000;
	if (*minor == '.')
		v += SK_MIN(strtoul(minor + 1, &end, 10), 999ul);
	if (v < SK_DOCKER_API_MAJOR * 1000 + SK_DOCKER_API_MINOR_MIN)
		return sk_err_set(
			err, -EINVAL, "bad-request",
			"client version %.*s is too old. Minimum supported API version is "
			"%s, please upgrade your client to a newer version",
			len, version, SK_DOCKER_API_MIN);
	if (v > SK_DOCKER_API_MAJOR * 1000 + SK_DOCKER_API_MINOR_MAX)
		return sk_err_set(
			err, -EINVAL, "bad-request",
			"client version %.*s is too new. Maximum supported API version is "
			"%s",
			len, version, SK_DOCKER_API_VERSION);
	return 0;
}

static const char *go_arch(const struct utsname *u)
{
	return sk_streq(u->machine, "x86_64")	 ? "amd64"
	       : sk_streq(u->machine, "aarch64") ? "arm64"
						 : u->machine;
}

static int ping(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	(void)sk_http_add_header(req, "Cache-Control", "no-cache, no-store, must-revalidate");
	(void)sk_http_add_header(req, "Docker-Experimental", "false");
	(void)sk_http_add_header(req, "Builder-Version", "1");
	return sk_http_reply_text(req, 200, "OK");
}

static int version(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct utsname u;

	(void)uname(&u);
	return sk_http_reply_json(
		req, 200,
		json_pack(
			"{s:{s:s}, s:[{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}}], s:s, s:s, s:s, s:s, "
			"s:s, s:s, s:s, s:s, s:s}",
			"Platform", "Name", "Skerry", "Components", "Name", "Engine", "Version",
			SK_VERSION, "Details", "ApiVersion", SK_DOCKER_API_VERSION, "MinAPIVersion",
			SK_DOCKER_API_MIN, "Os", "linux", "Arch", go_arch(&u), "KernelVersion",
			u.release, "Version", SK_VERSION, "ApiVersion", SK_DOCKER_API_VERSION,
			"MinAPIVersion", SK_DOCKER_API_MIN, "GitCommit", "", "GoVersion", "", "Os",
			"linux", "Arch", go_arch(&u), "KernelVersion", u.release, "BuildTime", ""));
}

static int count_image(void *arg, const struct sk_digest *d, uint64_t size)
{
	(*(int *)arg)++;
	return 0;
}

static void count_capsules(struct sk_engine *e, int *running, int *stopped)
{
	struct sk_capsule *c;

	for (size_t pos = 0; (c = sk_engine_next(e, &pos));) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		if (sk_streq(sk_docker_state(&v), "running"))
			(*running)++;
		else
			(*stopped)++;
	}
}

static json_t *info_machine(void)
{
	struct utsname u;
	struct sysinfo s;
	char now[32];

	(void)uname(&u);
	(void)sysinfo(&s);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:s, s:s}", "Name", u.nodename,
			 "KernelVersion", u.release, "OperatingSystem", "Skerry", "OSVersion", "",
			 "OSType", "linux", "Architecture", u.machine, "NCPU", get_nprocs(),
			 "MemTotal", (json_int_t)s.totalram * s.mem_unit, "SystemTime",
			 sk_time_format(now, sk_wall_s()), "ServerVersion", SK_VERSION);
}

static json_t *info_features(const struct sk_daemon *d)
{
	struct sk_runtime_limits can;

	sk_engine_limits(d->engine, SK_KIND_CONTAINER, &can);
	return json_pack(
		"{s:s, s:[], s:n, s:{s:[s], s:[s,s], s:n, s:[s]}, s:b, s:b, s:b, s:b, s:b, s:b, s:b, "
		"s:b, s:s, s:s, s:s, s:s, s:{s:{s:s}}, s:s, s:{s:s}, s:[s,s], s:[], s:b, s:s, s:[]}",
		"Driver", "skerry", "DriverStatus", "SystemStatus", "Plugins", "Volume", "local",
		"Network", "none", "host", "Authorization", "Log", "json-file", "MemoryLimit",
		(int)can.memory, "SwapLimit", 0, "CpuCfsPeriod", (int)can.cpu, "CpuCfsQuota",
		(int)can.cpu, "PidsLimit", (int)can.pids, "IPv4Forwarding", 0, "Debug", 0,
		"OomKillDisable", 0, "LoggingDriver", "json-file", "CgroupDriver", "cgroupfs",
		"CgroupVersion", can.cgroup_version == 2 ? "2" : "1", "DockerRootDir",
		d->config.state_dir, "Runtimes", "crun", "path", d->config.runtime,
		"DefaultRuntime", "crun", "Swarm", "LocalNodeState", "inactive", "SecurityOptions",
		"name=seccomp,profile=builtin", "name=userns", "Labels", "LiveRestoreEnabled", 1,
		"InitBinary", "", "Warnings");
}

static int info(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_daemon *d = arg;
	int running = 0, stopped = 0, images = 0;
	json_t *obj = info_features(d), *machine = info_machine();

	count_capsules(d->engine, &running, &stopped);
	(void)sk_store_list(d->store, count_image, &images);
	if (obj && machine)
		(void)json_object_update(obj, machine);
	json_decref(machine);
	(void)json_object_set_new(obj, "ID", json_string("SKERRY"));
	(void)json_object_set_new(obj, "Containers", json_integer(running + stopped));
	(void)json_object_set_new(obj, "ContainersRunning", json_integer(running));
	(void)json_object_set_new(obj, "ContainersPaused", json_integer(0));
	(void)json_object_set_new(obj, "ContainersStopped", json_integer(stopped));
	(void)json_object_set_new(obj, "Images", json_integer(images));
	return sk_http_reply_json(req, 200, obj);
}

const struct sk_http_route sk_docker_system_routes[] = {
	{ "GET", "/_ping", ping },
	{ "GET", "/version", version },
	{ "GET", "/info", info },
	{ NULL },
};

/* --- known to Docker, not to this daemon: 501, so that nobody takes it for a wrong address --- */

static int unsupported(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_err_set(err, -EOPNOTSUPP, "not-supported", "%s %s is not supported by Skerry",
			  sk_http_method(req), sk_http_path(req));
}

/* The CLI shows no more than "received 501"; other clients show this. */
static int no_attach(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_err_set(err, -EOPNOTSUPP, "not-supported",
			  "attaching is not supported by Skerry yet; use \"docker run -d\" and "
			  "\"docker logs -f\"");
}

static int no_swarm(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_json(
		req, 503, json_pack("{s:s}", "message", "This node is not a swarm manager."));
}

static int no_volumes(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_json(req, 200, json_pack("{s:[], s:n}", "Volumes", "Warnings"));
}

static int list_networks(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_json(req, 200,
				  json_pack("[{s:s, s:s, s:s, s:s}, {s:s, s:s, s:s, s:s}]", "Name",
					    "none", "Id", "none", "Driver", "null", "Scope",
					    "local", "Name", "host", "Id", "host", "Driver", "host",
					    "Scope", "local"));
}

#define BODY_MAX (1 << 20)
#define UNSUPPORTED(method, path)                   \
	{                                           \
		method, path, unsupported, BODY_MAX \
	}

const struct sk_http_route sk_docker_unsupported_routes[] = {
	{ "GET", "/volumes", no_volumes },
	{ "GET", "/networks", list_networks },
	{ "GET", "/swarm", no_swarm },
	{ "GET", "/nodes", no_swarm },
	{ "GET", "/services", no_swarm },
	{ "GET", "/tasks", no_swarm },
	{ "GET", "/secrets", no_swarm },
	{ "GET", "/configs", no_swarm },
	UNSUPPORTED("POST", "/auth"),
	UNSUPPORTED("POST", "/build"),
	UNSUPPORTED("POST", "/build/prune"),
	UNSUPPORTED("POST", "/commit"),
	UNSUPPORTED("GET", "/system/df"),
	UNSUPPORTED("POST", "/session"),
	UNSUPPORTED("POST", "/images/create"),
	UNSUPPORTED("POST", "/images/prune"),
	UNSUPPORTED("GET", "/images/search"),
	UNSUPPORTED("GET", "/images/get"),
	UNSUPPORTED("GET", "/images/{name*}/get"),
	UNSUPPORTED("GET", "/images/{name*}/history"),
	UNSUPPORTED("POST", "/images/{name*}/push"),
	UNSUPPORTED("POST", "/containers/prune"),
	UNSUPPORTED("GET", "/containers/{id}/top"),
	UNSUPPORTED("GET", "/containers/{id}/stats"),
	UNSUPPORTED("GET", "/containers/{id}/changes"),
	UNSUPPORTED("GET", "/containers/{id}/export"),
	UNSUPPORTED("GET", "/containers/{id}/archive"),
	UNSUPPORTED("PUT", "/containers/{id}/archive"),
	{ "POST", "/containers/{id}/attach", no_attach, BODY_MAX },
	UNSUPPORTED("GET", "/containers/{id}/attach/ws"),
	UNSUPPORTED("POST", "/containers/{id}/exec"),
	UNSUPPORTED("POST", "/containers/{id}/pause"),
	UNSUPPORTED("POST", "/containers/{id}/unpause"),
	UNSUPPORTED("POST", "/containers/{id}/rename"),
	UNSUPPORTED("POST", "/containers/{id}/resize"),
	UNSUPPORTED("POST", "/containers/{id}/update"),
	UNSUPPORTED("GET", "/exec/{id}/json"),
	UNSUPPORTED("POST", "/exec/{id}/start"),
	UNSUPPORTED("POST", "/exec/{id}/resize"),
	UNSUPPORTED("POST", "/volumes/create"),
	UNSUPPORTED("POST", "/volumes/prune"),
	UNSUPPORTED("GET", "/volumes/{name}"),
	UNSUPPORTED("DELETE", "/volumes/{name}"),
	UNSUPPORTED("POST", "/networks/create"),
	UNSUPPORTED("POST", "/networks/prune"),
	UNSUPPORTED("GET", "/networks/{id}"),
	UNSUPPORTED("DELETE", "/networks/{id}"),
	UNSUPPORTED("GET", "/plugins"),
	{ NULL },
};
