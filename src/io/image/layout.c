/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image/layout.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/str.h"
#include "io/json.h"

/*
 * Two forms (and Docker since 25 writes both at once):
 * - OCI image layout: oci-layout, index.json -> manifests -> configuration and layers, all blobs
 *   by digest; an index may hold indexes, and images for several platforms.
 * - docker-archive: manifest.json names configuration and layers by file name.
 */
#define JSON_SIZE_MAX	(4u << 20)
#define CONFIG_SIZE_MAX (1u << 20)
#define LAYERS_MAX	512
#define INDEX_DEPTH_MAX 4
#define FOUND_MAX	64
#define LOOKS_MAX	256

void sk_layout_done(struct sk_layout *l)
{
	free(l->config);
	sk_strv_free(l->tags);
	for (size_t i = 0; i < l->n_layers; i++)
		free(l->layers[i].member);
	free(l->layers);
	*l = (struct sk_layout){ 0 };
}

static int bad_layout(struct sk_err *err, const char *what, const char *why)
{
	return sk_err_set(err, -EBADMSG, "bad-archive", "%s: %s", what, why);
}

/* The JSON reader speaks of requests; here its sentence is about @what. */
static int bad_json(struct sk_err *err, int r, const char *what, const struct sk_err *why)
{
	return r == -ENOMEM ? sk_err_oom(err) : bad_layout(err, what, why->text);
}

static int read_text(int fd, uint64_t size, size_t max, const char *what, char **ret,
		     size_t *ret_len, struct sk_err *err)
{
	int r;

	if (size > max)
		return bad_layout(err, what, "is larger than such a file can be");
	r = sk_fd_read(fd, max, ret, ret_len);
	if (r == -ENOMEM)
		return sk_err_oom(err);
	return r < 0 ? sk_err_set(err, r, "io", "%s: %s", what, strerror(-r)) : 0;
}

/* Takes @fd's content as JSON. */
static int read_json(int fd, uint64_t size, const char *what, json_t **ret, struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	struct sk_err why = SK_ERR_INIT;
	size_t len = 0;
	int r;

	r = read_text(fd, size, JSON_SIZE_MAX, what, &text, &len, err);
	if (r < 0)
		return r;
	r = sk_json_parse(text, len, ret, &why);
	return r < 0 ? bad_json(err, r, what, &why) : 0;
}

static int member_json(const struct sk_spool *s, const char *name, json_t **ret, struct sk_err *err)
{
	_cleanup_close_ int fd = -1;
	uint64_t size;
	int r = sk_spool_open(s, name, &fd, &size, err);

	return r < 0 ? r : read_json(fd, size, name, ret, err);
}

static int blob_json(const struct sk_spool *s, const struct sk_digest *d, json_t **ret,
		     struct sk_err *err)
{
	_cleanup_close_ int fd = -1;
	uint64_t size;
	int r = sk_spool_blob(s, d, &fd, &size, err);

	return r < 0 ? r : read_json(fd, size, SK_DIGEST_STR(d), ret, err);
}

/* The digest of a descriptor; "size", when given, must be the blob's. */
static int descriptor(const json_t *obj, const char *what, struct sk_digest *ret,
		      struct sk_err *err)
{
	struct sk_err why = SK_ERR_INIT;
	const char *digest;
	int r;

	if (!json_is_object(obj))
		return bad_layout(err, what, "a descriptor is not an object");
	r = sk_json_need_str(obj, "digest", 256, &digest, &why);
	if (r < 0)
		return bad_json(err, r, what, &why);
	/* sk_digest_parse() would take bare digits too. */
	if (!sk_str_starts(digest, "sha256:") || sk_digest_parse(digest, ret) < 0)
		return bad_layout(err, what, "a digest is not a SHA-256");
	return 0;
}

static const char *debian_arch(const char *oci)
{
	if (!oci)
		return "?";
	return sk_streq(oci, "arm") ? "armhf" : oci;
}

static const char *machine_arch(void)
{
	static struct utsname u;

	if (uname(&u) < 0)
		return "amd64";
	if (sk_streq(u.machine, "x86_64"))
		return "amd64";
	return sk_streq(u.machine, "aarch64") ? "arm64" : "armhf";
}

/* An image of an index: its manifest, and where it runs. */
struct found {
	struct sk_digest digest;
	json_t *manifest;
	char *arch, *config;
	size_t config_len;
	char *tag;
};

struct search {
	const struct sk_spool *spool;
	struct found found[FOUND_MAX];
	size_t n, looks;
};

static void search_done(struct search *s)
{
	for (size_t i = 0; i < s->n; i++) {
		json_decref(s->found[i].manifest);
		free(s->found[i].arch);
		free(s->found[i].config);
		free(s->found[i].tag);
	}
}

static int read_config(int fd, uint64_t size, const char *what, char **ret, size_t *ret_len,
		       json_t **ret_json, struct sk_err *err)
{
	struct sk_err why = SK_ERR_INIT;
	int r = read_text(fd, size, CONFIG_SIZE_MAX, what, ret, ret_len, err);

	if (r < 0)
		return r;
	r = sk_json_parse(*ret, *ret_len, ret_json, &why);
	if (r < 0)
		return bad_json(err, r, what, &why);
	return json_is_object(*ret_json) ? 0 : bad_layout(err, what, "is not an object");
}

/* Reads the configuration of a manifest. The platform is the one that it states; the index may say another. */
static int add_found(struct search *s, const struct sk_digest *d, json_t *manifest, const char *tag,
		     struct sk_err *err)
{
	struct found *f = &s->found[s->n];
	_cleanup_json_ json_t *config = NULL;
	_cleanup_close_ int fd = -1;
	struct sk_digest cd;
	uint64_t size;
	int r;

	r = descriptor(json_object_get(manifest, "config"), "image manifest", &cd, err);
	if (r == 0)
		r = sk_spool_blob(s->spool, &cd, &fd, &size, err);
	if (r < 0)
		return r;
	*f = (struct found){ .digest = *d, .manifest = json_incref(manifest) };
	s->n++;
	f->tag = tag ? strdup(tag) : NULL;
	r = read_config(fd, size, "image configuration", &f->config, &f->config_len, &config, err);
	if (r < 0)
		return r;
	f->arch = strdup(debian_arch(json_string_value(json_object_get(config, "architecture"))));
	return f->arch && (f->tag || !tag) ? 0 : sk_err_oom(err);
}

static int look_at(struct search *s, const json_t *desc, int depth, struct sk_err *err);

static int look_at_list(struct search *s, const json_t *list, int depth, struct sk_err *err)
{
	const json_t *desc;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return bad_layout(err, "image index", "lists no image");
	json_array_foreach (list, i, desc) {
		int r = look_at(s, desc, depth, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Signatures and build attestations sit in an index as images for "unknown". */
static bool is_attestation(const json_t *desc)
{
	const char *os =
		json_string_value(json_object_get(json_object_get(desc, "platform"), "os"));

	return os && !sk_streq(os, "linux");
}

static bool already_found(const struct search *s, const struct sk_digest *d)
{
	for (size_t i = 0; i < s->n; i++)
		if (sk_digest_equal(&s->found[i].digest, d))
			return true;
	return false;
}

static const char *annotation(const json_t *desc)
{
	const json_t *notes = json_object_get(desc, "annotations");
	const char *name = json_string_value(json_object_get(notes, "io.containerd.image.name"));

	if (!name)
		name = json_string_value(
			json_object_get(notes, "org.opencontainers.image.ref.name"));
	return name && strlen(name) <= 512 ? name : NULL;
}

/* Is the platform one whose blobs were left out? `docker save` lists all, and has but its own. */
static bool blob_absent(const struct search *s, const struct sk_digest *d)
{
	char name[96];

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", SK_DIGEST_STR(d));
	return !sk_spool_has(s->spool, name);
}

static int look_at(struct search *s, const json_t *desc, int depth, struct sk_err *err)
{
	_cleanup_json_ json_t *doc = NULL;
	struct sk_digest d;
	int r = descriptor(desc, "image index", &d, err);

	if (r < 0)
		return r;
	if (depth >= INDEX_DEPTH_MAX || s->n == FOUND_MAX || ++s->looks > LOOKS_MAX)
		return bad_layout(err, "image index", "is too deep or too long");
	if (is_attestation(desc) || already_found(s, &d))
		return 0;
	if (depth > 0 && blob_absent(s, &d))
		return 0;
	r = blob_json(s->spool, &d, &doc, err);
	if (r < 0)
		return r;
	/*
	 * A document that is both an index and a manifest is refused: two readers would see two images
	 * (CVE-2021-41190).
	 */
	if (json_object_get(doc, "manifests") && json_object_get(doc, "layers"))
		return bad_layout(err, "image index", "a document is index and image at once");
	if (json_object_get(doc, "manifests"))
		return look_at_list(s, json_object_get(doc, "manifests"), depth + 1, err);
	return add_found(s, &d, doc, annotation(desc), err);
}

static struct found *find_arch(struct search *s, const char *arch, size_t *ret_n)
{
	struct found *f = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (arch && !sk_streq(s->found[i].arch, arch))
			continue;
		f = &s->found[i];
		(*ret_n)++;
	}
	return f;
}

static int choose(struct search *s, const char *arch, struct found **ret, struct sk_err *err)
{
	char list[256] = "";
	size_t n;

	*ret = find_arch(s, arch, &n);
	if (n > 1 && !arch)
		*ret = find_arch(s, arch = machine_arch(), &n);
	if (n == 1)
		return 0;
	for (size_t i = 0; i < s->n; i++)
		(void)strncat(strncat(list, i > 0 ? ", " : "", sizeof(list) - strlen(list) - 1),
			      s->found[i].arch, sizeof(list) - strlen(list) - 1);
	if (n > 1)
		return sk_err_set(err, -EBADMSG, "bad-archive",
				  "the archive holds %zu images for %s: save one at a time", n,
				  arch);
	return sk_err_set(err, -EBADMSG, "bad-archive",
			  "the archive has no image for %s; it has: %s",
			  arch ? arch : "this machine", list[0] ? list : "none");
}

/* diff_ids of the configuration into the layers, one each. */
static int take_diff_ids(struct sk_layout *l, struct sk_err *err)
{
	_cleanup_json_ json_t *config = NULL;
	_cleanup_strv_ char **ids = NULL;
	struct sk_err why = SK_ERR_INIT;
	const json_t *rootfs;
	int r;

	r = sk_json_parse(l->config, l->config_len, &config, &why);
	if (r < 0)
		return bad_json(err, r, "image configuration", &why);
	rootfs = json_object_get(config, "rootfs");
	if (!json_is_object(rootfs))
		return bad_layout(err, "image configuration", "has no rootfs");
	r = sk_json_get_strv(rootfs, "diff_ids", LAYERS_MAX, &ids, &why);
	if (r < 0)
		return bad_json(err, r, "image configuration", &why);
	if (sk_strv_len(ids) != l->n_layers)
		return bad_layout(err, "image configuration", "has not one digest for each layer");
	for (size_t i = 0; i < l->n_layers; i++)
		if (!sk_str_starts(ids[i], "sha256:") ||
		    sk_digest_parse(ids[i], &l->layers[i].diff_id) < 0)
			return bad_layout(err, "image configuration", "a diff_id is not a SHA-256");
	return 0;
}

static int alloc_layers(struct sk_layout *l, size_t n, struct sk_err *err)
{
	if (n == 0 || n > LAYERS_MAX)
		return bad_layout(err, "image manifest", "has no layers, or over 512");
	l->layers = calloc(n, sizeof(*l->layers));
	l->n_layers = l->layers ? n : 0;
	return l->layers ? 0 : sk_err_oom(err);
}

static int take_found(struct found *f, struct sk_layout *l, struct sk_err *err)
{
	const json_t *list = json_object_get(f->manifest, "layers"), *desc;
	size_t i;
	int r;

	r = alloc_layers(l, json_array_size(list), err);
	if (r < 0)
		return r;
	json_array_foreach (list, i, desc) {
		r = descriptor(desc, "image manifest", &l->layers[i].blob, err);
		if (r < 0)
			return r;
	}
	if (f->tag && sk_strv_add(&l->tags, f->tag) < 0)
		return sk_err_oom(err);
	l->config = TAKE_PTR(f->config);
	l->config_len = f->config_len;
	return take_diff_ids(l, err);
}

static int read_oci(const struct sk_spool *spool, const char *arch, struct sk_layout *l,
		    struct sk_err *err)
{
	_cleanup_(search_done) struct search s = { .spool = spool };
	_cleanup_json_ json_t *index = NULL;
	struct found *f = NULL;
	int r;

	r = member_json(spool, "index.json", &index, err);
	if (r < 0)
		return r;
	r = look_at_list(&s, json_object_get(index, "manifests"), 0, err);
	if (r < 0)
		return r;
	r = choose(&s, arch, &f, err);
	return r < 0 ? r : take_found(f, l, err);
}

static int docker_config(const struct sk_spool *spool, const json_t *image, const char *arch,
			 struct sk_layout *l, struct sk_err *err)
{
	_cleanup_json_ json_t *config = NULL;
	_cleanup_close_ int fd = -1;
	struct sk_err why = SK_ERR_INIT;
	const char *name, *is;
	uint64_t size;
	int r;

	r = sk_json_need_str(image, "Config", 512, &name, &why);
	if (r < 0)
		return bad_json(err, r, "manifest.json", &why);
	r = sk_spool_open(spool, name, &fd, &size, err);
	if (r == 0)
		r = read_config(fd, size, name, &l->config, &l->config_len, &config, err);
	if (r < 0)
		return r;
	is = debian_arch(json_string_value(json_object_get(config, "architecture")));
	if (arch && !sk_streq(is, arch))
		return sk_err_set(err, -EBADMSG, "bad-archive",
				  "the archive has no image for %s; it has: %.32s", arch, is);
	return 0;
}

static int docker_image(const struct sk_spool *spool, const json_t *image, const char *arch,
			struct sk_layout *l, struct sk_err *err)
{
	_cleanup_strv_ char **layers = NULL;
	struct sk_err why = SK_ERR_INIT;
	int r;

	r = docker_config(spool, image, arch, l, err);
	if (r < 0)
		return r;
	r = sk_json_get_strv(image, "Layers", LAYERS_MAX, &layers, &why);
	if (r == 0)
		r = sk_json_get_strv(image, "RepoTags", 64, &l->tags, &why);
	if (r < 0)
		return bad_json(err, r, "manifest.json", &why);
	r = alloc_layers(l, sk_strv_len(layers), err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < l->n_layers; i++)
		l->layers[i].member = TAKE_PTR(layers[i]);
	return take_diff_ids(l, err);
}

static int read_docker(const struct sk_spool *spool, const char *arch, struct sk_layout *l,
		       struct sk_err *err)
{
	_cleanup_json_ json_t *list = NULL;
	int r = member_json(spool, "manifest.json", &list, err);

	if (r < 0)
		return r;
	if (!json_is_array(list) || !json_is_object(json_array_get(list, 0)))
		return bad_layout(err, "manifest.json", "lists no image");
	if (json_array_size(list) > 1)
		return sk_err_set(err, -EBADMSG, "bad-archive",
				  "the archive holds %zu images: save one at a time",
				  json_array_size(list));
	return docker_image(spool, json_array_get(list, 0), arch, l, err);
}

int sk_layout_read(const struct sk_spool *spool, const char *arch, struct sk_layout *ret,
		   struct sk_err *err)
{
	_cleanup_(sk_layout_done) struct sk_layout l = { 0 };
	bool docker = sk_spool_has(spool, "manifest.json");
	int r;

	if (sk_spool_has(spool, "oci-layout"))
		r = read_oci(spool, arch, &l, err);
	else if (docker)
		r = read_docker(spool, arch, &l, err);
	else
		return bad_layout(err, "image archive",
				  "is neither a docker-archive (manifest.json) nor an OCI layout "
				  "(oci-layout); make one with: docker save NAME, or skopeo copy");
	if (r < 0)
		return r;
	*ret = l;
	l = (struct sk_layout){ 0 };
	return 0;
}

int sk_layout_layer(const struct sk_spool *spool, const struct sk_layout *l, size_t i, int *ret_fd,
		    struct sk_err *err)
{
	const struct sk_layer_ref *ref = &l->layers[i];
	uint64_t size;

	if (ref->member)
		return sk_spool_open(spool, ref->member, ret_fd, &size, err);
	return sk_spool_blob(spool, &ref->blob, ret_fd, &size, err);
}
