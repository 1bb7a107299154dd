/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/fdt_read.h"

/* Between the files that read a manifest. */

#define SK_RUN_SUBS 2
extern const struct sk_sub sk_run_subs[SK_RUN_SUBS]; /* their @to: struct sk_run */
struct sk_words sk_run_words(struct sk_run *run);

/** What is known while the nodes are read one after the other. @r comes first: see sk_mr(). */
struct sk_manifest_reader {
	struct sk_reader r;
	struct sk_manifest *m;
	struct sk_children apps,
		servers;       /* by name; apps[i] is m->apps[i] until they are ordered */
	struct sk_map *images; /* name -> struct sk_image_ref of m->images */
};

static inline struct sk_manifest_reader *sk_mr(struct sk_reader *r)
{
	return sk_container_of(r, struct sk_manifest_reader, r);
}

/** The value of an "image" property: a struct sk_image_ref *. */
void sk_rd_image(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		 void *field);
void sk_rd_apps(struct sk_reader *r, int node);
void sk_rd_msg_servers(struct sk_reader *r, int node);
void sk_rd_keys(struct sk_reader *r, int node);
void sk_rd_supervision(struct sk_reader *r, int node);
/** Apps into start order, or a mistake that names the cycle. @node: supervision, or -1. */
void sk_rd_start_order(struct sk_reader *r, int node);

void sk_manifest_app_done(struct sk_app *a);
