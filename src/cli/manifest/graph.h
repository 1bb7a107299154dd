/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "model/manifest.h"

/*
 * The manifest as a graph. Nodes are apps (with their image) and protocols of message servers;
 * edges are supervision (an app to those that go with it) and publish (app to protocol) and
 * connect (protocol to app).
 */
#define SK_GRAPH_MAX (64u << 20) /* bytes of a written graph */

enum sk_edge_kind { SK_EDGE_SUPERVISES, SK_EDGE_PUBLISH, SK_EDGE_CONNECT };

/** An app, or one protocol of a server; borrowed from the manifest. */
struct sk_graph_node {
	const struct sk_app *app;
	const struct sk_msg_server *server;
	const struct sk_msg_rule *rule;
};
struct sk_graph_edge {
	enum sk_edge_kind kind;
	size_t from, to;
};
struct sk_graph {
	struct sk_graph_node *nodes; /* apps first, in start order */
	size_t n_nodes;
	struct sk_graph_edge *edges;
	size_t n_edges;
};

/** Return: 0, -ENOMEM, -EFBIG ("too-large": more edges than anybody can look at) */
int sk_graph_of(const struct sk_manifest *m, struct sk_graph *ret, struct sk_err *err);
void sk_graph_done(struct sk_graph *g);

/**
 * sk_graph_write() - @format: "text", "dot", "json", or "svg", for which Graphviz' dot is run
 * Return: 0, "usage" (another format), "too-large", "child-failed" (no dot on PATH, or it failed), "io"
 */
int sk_graph_write(const struct sk_manifest *m, const char *format, struct sk_buf *out,
		   struct sk_err *err);
