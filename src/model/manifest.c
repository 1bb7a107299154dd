/* SPDX-License-Identifier: Apache-2.0 */
#include "model/manifest.h"

#include <ctype.h>
#include <errno.h>
#include <libfdt.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "model/manifest_read.h"
#include "model/version.h"

#define COMPATIBLE_MAX	  32
#define COMPATIBLE_LEN	  128
#define SETTLE_MS	  10000u
#define HEALTH_TIMEOUT_MS 300000u
#define BOOTS_MAX	  3u
#define SECOND_MS	  1000u
#define HOUR_MS		  3600000u
#define DAY_MS		  86400000u

/* What people bring along from other formats, and where it goes here. */
static const struct sk_alien aliens[] = {
	{ "args", "write arguments = \"...\";" },
	{ "autostart", "every app is started; leave it out" },
	{ "aux-device-setup-script", "write aux_device_setup_script = \"...\";" },
	{ "binds", "write volumes { NAME = \"/path/inside\"; };" },
	{ "cmd", "write command = \"program\", \"argument\";" },
	{ "cpus", "write cpu-limit = \"0.5\";" },
	{ "depends-on", "write supervision { OTHER = \"this-app\"; }; at the top" },
	{ "depends_on", "write supervision { OTHER = \"this-app\"; }; at the top" },
	{ "dir_access_control", "it stands inside each server under msg_servers" },
	{ "entrypoint", "write command = \"program\", \"argument\";" },
	{ "env", "write environment { NAME = \"value\"; };" },
	{ "expiry", "write expires = \"2027-12-31\";" },
	{ "healthcheck", "write health-check { ... };" },
	{ "linux,phandle", "labels and <&references> are not used in a manifest: write names" },
	{ "mem_limit", "write memory-limit = \"64M\";" },
	{ "memory", "write memory-limit = \"64M\";" },
	{ "mounts", "write volumes { NAME = \"/path/inside\"; };" },
	{ "phandle", "labels and <&references> are not used in a manifest: write names" },
	{ "ports", "write network = \"host\";" },
	{ "privileged", "grant single devices: devices = \"/dev/i2c-1\";" },
	{ "services", "write apps { ... };" },
	{ "working_dir", "write working-dir = \"/srv\";" },
	{ 0 },
};

static const char *const top_names[] = {
	"release", "system", "images", "apps", "supervision", "msg_servers", "keys",
};

static void image_ref_done(struct sk_image_ref *i)
{
	free(i->name);
}

/* Room for all is there from the start (one per app, one for the system), so references stay. */
static struct sk_image_ref *image_ref(struct sk_manifest_reader *mr, const char *name)
{
	struct sk_image_ref *i = sk_map_get(mr->images, name);
	struct sk_manifest *m = mr->m;

	if (i)
		return i;
	i = &m->images[m->n_images];
	i->name = sk_rd_strdup(&mr->r, name);
	if (!i->name)
		return NULL;
	m->n_images++;
	if (sk_map_add(mr->images, name, i) < 0)
		mr->r.oom = true;
	return i;
}

void sk_rd_image(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field)
{
	const char *name = sk_prop_string(r, p, w);

	if (!name)
		return;
	if (sk_name_ok(name))
		*(struct sk_image_ref **)field = image_ref(sk_mr(r), name);
	else
		sk_rd_bad_value(r, p, w);
}

static bool compatible_ok(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > COMPATIBLE_LEN)
		return false;
	for (; *s; s++)
		if (!isascii((unsigned char)*s) ||
		    (!isalnum((unsigned char)*s) && !strchr(",._+-", *s)))
			return false;
	return true;
}

static void read_expires(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
			 void *field)
{
	const char *s = sk_prop_string(r, p, w);
	int64_t at;

	if (!s)
		return;
	if (sk_time_parse(s, &at) == 0 && at > 0)
		*(int64_t *)field = at;
	else
		sk_rd_bad_value(r, p, w);
}

static const struct sk_word release_words[] = {
	{ "project", sk_rd_string, offsetof(struct sk_manifest, project), .ok = sk_name_ok,
	  .expect = "a name", .example = "project = \"weather-station\";", .required = true },
	{ "version", sk_rd_string, offsetof(struct sk_manifest, version), .ok = sk_version_ok,
	  .expect = "a version", .example = "version = \"1.4.0\";", .required = true },
	{ "compatible", sk_rd_strv, offsetof(struct sk_manifest, compatible), .ok = compatible_ok,
	  .max = COMPATIBLE_MAX, .expect = "a device type",
	  .example = "compatible = \"acme,station-v2\";", .required = true },
	{ "created", sk_rd_u64, offsetof(struct sk_manifest, created_s), .min = 1,
	  .max = INT32_MAX * 1000ull,
	  .example = "nothing: it is filled in when the release is built" },
	{ "expires", read_expires, offsetof(struct sk_manifest, expires_s),
	  .expect = "a date or a time in UTC", .example = "expires = \"2027-12-31\";" },
	{ "allow-downgrade", sk_rd_bool, offsetof(struct sk_manifest, allow_downgrade),
	  .example = "allow-downgrade;" },
	{ "settle-time", sk_rd_duration, offsetof(struct sk_manifest, settle_ms), .min = SECOND_MS,
	  .max = HOUR_MS, .example = "settle-time = \"10s\";" },
	{ "health-timeout", sk_rd_duration, offsetof(struct sk_manifest, health_timeout_ms),
	  .min = SECOND_MS, .max = DAY_MS, .example = "health-timeout = \"5m\";" },
	{ "boot-attempts", sk_rd_u32, offsetof(struct sk_manifest, boots_max), .min = 1, .max = 100,
	  .example = "boot-attempts = <3>;" },
};

static void read_release(struct sk_reader *r, int node)
{
	struct sk_manifest *m = sk_mr(r)->m;
	const struct sk_words set = { release_words, ARRAY_SIZE(release_words), m };

	if (node < 0) {
		sk_rd_wrong(r, 0, NULL, "node \"release\" is missing");
		sk_rd_hint(r, "write release { project = \"...\"; version = \"1.0\"; "
			      "compatible = \"...\"; };");
		return;
	}
	sk_rd_props(r, node, &set, 1);
	sk_rd_no_nodes(r, node);
	if (m->health_timeout_ms <= m->settle_ms) {
		sk_rd_wrong(r, node, "health-timeout", "is not longer than settle-time");
		sk_rd_hint(r, "capsules must be well for the whole settle-time before it runs out");
	}
}

static const struct sk_word system_words[] = {
	{ "image", sk_rd_image, offsetof(struct sk_manifest, system), .expect = "a file name",
	  .example = "image = \"rootfs.itb\";", .required = true },
};

static void read_system(struct sk_reader *r, int node)
{
	const struct sk_words set = { system_words, ARRAY_SIZE(system_words), sk_mr(r)->m };

	if (node < 0)
		return;
	sk_rd_props(r, node, &set, 1);
	sk_rd_no_nodes(r, node);
}

static void read_sha256(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
			void *field)
{
	const char *s = sk_prop_string(r, p, w);

	if (s && (strlen(s) != SK_DIGEST_HEX || sk_digest_parse(s, field) < 0))
		sk_rd_bad_value(r, p, w);
}

static const struct sk_word pin_words[] = {
	{ "sha256", read_sha256, offsetof(struct sk_image_ref, digest),
	  .expect = "64 lower-case hex digits",
	  .example = "nothing: it is filled in when the release is built", .required = true },
	{ "size", sk_rd_u64, offsetof(struct sk_image_ref, size_bytes), .min = 1,
	  .max = SK_IMAGE_SIZE_MAX, .example = "nothing: it is filled in when the release is built",
	  .required = true },
};

static void read_pin(struct sk_reader *r, int node)
{
	struct sk_image_ref *i = sk_map_get(sk_mr(r)->images, fdt_get_name(r->fdt, node, NULL));
	const struct sk_words set = { pin_words, ARRAY_SIZE(pin_words), i };

	if (!i) {
		sk_rd_wrong(r, node, NULL, "no app has this image");
		sk_rd_hint(r, "leave the node out");
		return;
	}
	sk_rd_props(r, node, &set, 1);
	sk_rd_no_nodes(r, node);
	i->pinned = true;
}

static void read_pins(struct sk_reader *r, int node)
{
	_cleanup_(sk_children_done) struct sk_children c = { 0 };

	if (node < 0)
		return;
	sk_rd_no_props(r, node);
	sk_rd_children(r, node, SK_MANIFEST_APPS_MAX + 1, "image", &c);
	for (size_t i = 0; !r->oom && i < c.n; i++)
		read_pin(r, c.nodes[i]);
}

static const struct sk_word root_words[] = {
	{ "persistent-boot", sk_rd_bool, offsetof(struct sk_manifest, persistent_boot),
	  .example = "persistent-boot;" },
};

/* Unknown and repeated nodes at the top; a property that belongs into "release" gets a hint. */
static void check_top(struct sk_reader *r)
{
	const struct sk_words set = { root_words, ARRAY_SIZE(root_words), sk_mr(r)->m };
	struct sk_sub subs[ARRAY_SIZE(top_names)];

	for (size_t i = 0; i < ARRAY_SIZE(top_names); i++)
		subs[i] = (struct sk_sub){ .name = top_names[i] };
	sk_rd_props(r, 0, &set, 1);
	sk_rd_nodes(r, 0, subs, ARRAY_SIZE(subs), NULL);
}

static int top(const struct sk_reader *r, const char *name)
{
	return fdt_subnode_offset(r->fdt, 0, name);
}

/* Names first: nodes refer to one another in both directions. */
static void collect_names(struct sk_manifest_reader *mr)
{
	struct sk_reader *r = &mr->r;
	int apps = top(r, "apps"), servers = top(r, "msg_servers");

	if (apps >= 0)
		sk_rd_children(r, apps, SK_MANIFEST_APPS_MAX, "app", &mr->apps);
	if (servers >= 0)
		sk_rd_children(r, servers, SK_MANIFEST_APPS_MAX, "message server", &mr->servers);
	mr->images = sk_map_new(NULL);
	mr->m->images = sk_rd_calloc(r, mr->apps.n + 1, sizeof(*mr->m->images));
	if (!mr->images)
		r->oom = true;
}

static void read_manifest(struct sk_manifest_reader *mr)
{
	struct sk_reader *r = &mr->r;

	check_top(r);
	collect_names(mr);
	if (r->oom)
		return;
	read_release(r, top(r, "release"));
	read_system(r, top(r, "system"));
	sk_rd_apps(r, top(r, "apps"));
	if (r->oom)
		return;
	read_pins(r, top(r, "images"));
	sk_rd_msg_servers(r, top(r, "msg_servers"));
	sk_rd_keys(r, top(r, "keys"));
	sk_rd_supervision(r, top(r, "supervision"));
	if (!r->oom && !r->wrong)
		sk_rd_start_order(r, top(r, "supervision"));
}

static int read_checked(const void *fdt, struct sk_manifest *m, struct sk_diags *diags,
			struct sk_err *err)
{
	struct sk_manifest_reader mr = { .m = m };
	int code;

	sk_reader_init(&mr.r, fdt, diags);
	mr.r.aliens = aliens;
	read_manifest(&mr);
	code = sk_reader_end(&mr.r, err);
	sk_children_done(&mr.apps);
	sk_children_done(&mr.servers);
	sk_map_freep(&mr.images);
	return code;
}

int sk_manifest_parse(const void *dtb, size_t len, struct sk_manifest **ret, struct sk_diags *diags,
		      struct sk_err *err)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	_cleanup_free_ void *copy = NULL;
	const void *fdt;
	int r;

	if (len > SK_MANIFEST_SIZE_MAX)
		return sk_fdt_check(dtb, len, err);
	fdt = sk_fdt_aligned(dtb, len, &copy);
	m = calloc(1, sizeof(*m));
	if (!fdt || !m)
		return sk_err_oom(err);
	r = sk_fdt_check(fdt, len, err);
	if (r < 0)
		return r;
	m->settle_ms = SETTLE_MS;
	m->health_timeout_ms = HEALTH_TIMEOUT_MS;
	m->boots_max = BOOTS_MAX;
	r = read_checked(fdt, m, diags, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(m);
	return 0;
}

static void msg_server_done(struct sk_msg_server *s)
{
	for (size_t i = 0; i < s->n_rules; i++) {
		free(s->rules[i].protocol);
		sk_strv_free(s->rules[i].publish);
		sk_strv_free(s->rules[i].connect);
	}
	free(s->rules);
	free(s->name);
}

static void key_done(struct sk_key_grant *k)
{
	free(k->name);
	sk_strv_free(k->apps);
	sk_strv_free(k->uses);
}

void sk_manifest_free(struct sk_manifest *m)
{
	if (!m)
		return;
	free(m->project);
	free(m->version);
	sk_strv_free(m->compatible);
	for (size_t i = 0; i < m->n_images; i++)
		image_ref_done(&m->images[i]);
	for (size_t i = 0; i < m->n_apps; i++)
		sk_manifest_app_done(&m->apps[i]);
	for (size_t i = 0; i < m->n_supervision; i++) {
		free(m->supervision[i].app);
		sk_strv_free(m->supervision[i].dependants);
	}
	for (size_t i = 0; i < m->n_msg_servers; i++)
		msg_server_done(&m->msg_servers[i]);
	for (size_t i = 0; i < m->n_keys; i++)
		key_done(&m->keys[i]);
	free(m->images);
	free(m->apps);
	free(m->supervision);
	free(m->msg_servers);
	free(m->keys);
	free(m);
}

const struct sk_app *sk_manifest_app(const struct sk_manifest *m, const char *name)
{
	for (size_t i = 0; i < m->n_apps; i++)
		if (sk_streq(m->apps[i].name, name))
			return &m->apps[i];
	return NULL;
}

int sk_manifest_pinned(const struct sk_manifest *m, struct sk_err *err)
{
	for (size_t i = 0; i < m->n_images; i++)
		if (!m->images[i].pinned)
			return sk_err_set(err, -EINVAL, "bad-release",
					  "image %s has no digest in the manifest; build the "
					  "release with \"skerry release build\"",
					  m->images[i].name);
	return 0;
}
