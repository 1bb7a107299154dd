/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/str.h"
#include "hub/domain/release_file.h"
#include "io/json.h"
#include "model/manifest.h"

static json_t *app_json(const struct sk_app *a)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", a->name, "kind",
			 a->kind == SK_KIND_VM ? "vm" : "container", "image", a->image->name,
			 "network", a->network == SK_NETWORK_HOST ? "host" : "none", "msg_servers",
			 sk_json_strv(a->msg_servers));
}

static json_t *image_json(const struct sk_image_ref *i)
{
	return json_pack("{s:s, s:s, s:I}", "name", i->name, "digest", SK_DIGEST_STR(&i->digest),
			 "size_bytes", (json_int_t)i->size_bytes);
}

static json_t *server_json(const struct sk_msg_server *s)
{
	json_t *rules = json_array();

	for (size_t i = 0; i < s->n_rules; i++)
		(void)json_array_append_new(
			rules, json_pack("{s:s, s:o, s:o}", "protocol", s->rules[i].protocol,
					 "publish", sk_json_strv(s->rules[i].publish), "connect",
					 sk_json_strv(s->rules[i].connect)));
	return json_pack("{s:s, s:o}", "name", s->name, "protocols", rules);
}

/* Bounded: a hostile manifest could name 256 x 256 pairs for each protocol. */
#define EDGES_MAX 4096

/* One edge for each pair that may talk: who connects, to whom who publishes. */
static void add_edges(json_t *edges, const char *server, const struct sk_msg_rule *rule)
{
	SK_STRV_FOREACH (from, rule->connect) {
		SK_STRV_FOREACH (to, rule->publish) {
			if (json_array_size(edges) >= EDGES_MAX)
				return;
			(void)json_array_append_new(
				edges, json_pack("{s:s, s:s, s:s, s:s}", "from", *from, "to", *to,
						 "protocol", rule->protocol, "msg_server", server));
		}
	}
}

static json_t *supervision_json(const struct sk_manifest *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n_supervision; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:o}", "app", m->supervision[i].app, "dependants",
					sk_json_strv(m->supervision[i].dependants)));
	return list;
}

json_t *sk_manifest_graph(const struct sk_manifest *m)
{
	json_t *apps = json_array(), *images = json_array(), *servers = json_array();
	json_t *edges = json_array();

	for (size_t i = 0; i < m->n_apps; i++)
		(void)json_array_append_new(apps, app_json(&m->apps[i]));
	for (size_t i = 0; i < m->n_images; i++)
		(void)json_array_append_new(images, image_json(&m->images[i]));
	for (size_t i = 0; i < m->n_msg_servers; i++) {
		const struct sk_msg_server *s = &m->msg_servers[i];

		(void)json_array_append_new(servers, server_json(s));
		for (size_t k = 0; k < s->n_rules; k++)
			add_edges(edges, s->name, &s->rules[k]);
	}
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "project", m->project, "version",
			 m->version, "apps", apps, "images", images, "supervision",
			 supervision_json(m), "msg_servers", servers, "connections", edges);
}
