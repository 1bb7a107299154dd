/* SPDX-License-Identifier: Apache-2.0 */
#include "model/generation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAGIC	   "skerry-generation 1\n"
#define LINK_MAGIC "skerry-current 1\n"
#define SUM_PREFIX "sha256 "
#define SUM_LINE   (sizeof(SUM_PREFIX) - 1 + SK_DIGEST_HEX + 1)

static int encode_body(const struct sk_generation *g, struct sk_buf *out)
{
	return sk_buf_addf(out,
			   MAGIC "number %llu\n"
				 "release %s\n"
				 "state %s\n"
				 "ephemeral %s\n"
				 "boots %u\n"
				 "boots-max %u\n"
				 "changed %lld\n"
				 "project %s\n"
				 "version %s\n"
				 "reason %s\n",
			   (unsigned long long)g->number, SK_DIGEST_STR(&g->release),
			   sk_gen_state_name(g->state), g->ephemeral ? "yes" : "no", g->boots,
			   g->boots_max, (long long)g->changed_s, g->project, g->version,
			   g->reason);
}

/* Ends a record that begins at @start; one that failed at @r or fails here leaves nothing. */
static int end_record(struct sk_buf *out, size_t start, int r)
{
	struct sk_digest sum;

	if (r == 0)
		r = sk_digest_of(out->data + start, out->len - start, &sum);
	if (r == 0)
		r = sk_buf_addf(out, SUM_PREFIX "%s\n", SK_DIGEST_STR(&sum));
	if (r < 0 && out->data)
		out->data[out->len = start] = '\0';
	return r;
}

int sk_gen_encode(const struct sk_generation *g, struct sk_buf *out)
{
	size_t start = out->len;

	if (!sk_gen_text_ok(g->project) || !sk_gen_text_ok(g->version) ||
	    !sk_gen_text_ok(g->reason))
		return -EINVAL;
	return end_record(out, start, encode_body(g, out));
}

static int encode_link_body(const struct sk_gen_link *l, struct sk_buf *out)
{
	return sk_buf_addf(out, LINK_MAGIC "current %llu\nnext %llu\n",
			   (unsigned long long)l->current, (unsigned long long)l->next);
}

int sk_gen_link_encode(const struct sk_gen_link *l, struct sk_buf *out)
{
	size_t start = out->len;

	return end_record(out, start, encode_link_body(l, out));
}

bool sk_gen_text_ok(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

/* The value of the line "<key> <value>" at *at, cut off with a NUL; NULL when it is another line. */
static char *take(char **at, const char *key)
{
	size_t len = strlen(key);
	char *value = *at + len + 1, *end;

	if (strncmp(*at, key, len) != 0 || (*at)[len] != ' ')
		return NULL;
	end = strchr(value, '\n');
	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return value;
}

static int take_text(char **at, const char *key, char *ret, size_t room)
{
	char *v = take(at, key);

	if (!v || strlen(v) >= room || !sk_gen_text_ok(v))
		return -EBADMSG;
	memcpy(ret, v, strlen(v) + 1);
	return 0;
}

static int take_u64(char **at, const char *key, uint64_t *ret)
{
	char *v = take(at, key);

	return v && sk_parse_u64(v, ret) == 0 ? 0 : -EBADMSG;
}

static int take_u32(char **at, const char *key, uint32_t *ret)
{
	char *v = take(at, key);

	return v && sk_parse_u32(v, ret) == 0 ? 0 : -EBADMSG;
}

static int take_state(char **at, enum sk_gen_state *ret)
{
	char *v = take(at, "state");

	for (unsigned s = 0; v && s < SK_GEN_STATES; s++) {
		if (sk_streq(v, sk_gen_state_name((enum sk_gen_state)s))) {
			*ret = (enum sk_gen_state)s;
			return 0;
		}
	}
	return -EBADMSG;
}

static int take_changed(char **at, int64_t *ret)
{
	char *v = take(at, "changed");
	bool minus = v && *v == '-';
	uint64_t n;

	/* A clock before 1970 is possible and harmless. */
	if (!v || sk_parse_u64(v + minus, &n) < 0 || n > INT64_MAX)
		return -EBADMSG;
	*ret = minus ? -(int64_t)n : (int64_t)n;
	return 0;
}

static int take_id(char **at, struct sk_generation *g)
{
	char *v;

	if (take_u64(at, "number", &g->number) < 0 || g->number == 0)
		return -EBADMSG;
	v = take(at, "release");
	return v && sk_digest_parse(v, &g->release) == 0 ? 0 : -EBADMSG;
}

static int take_flags(char **at, struct sk_generation *g)
{
	char *v;
	int r = take_state(at, &g->state);

	if (r < 0)
		return r;
	v = take(at, "ephemeral");
	if (!v || (!sk_streq(v, "yes") && !sk_streq(v, "no")))
		return -EBADMSG;
	g->ephemeral = sk_streq(v, "yes");
	return 0;
}

static int take_all(char *at, struct sk_generation *g)
{
	if (!sk_str_starts(at, MAGIC))
		return -EBADMSG;
	at += strlen(MAGIC);
	if (take_id(&at, g) < 0 || take_flags(&at, g) < 0 ||
	    take_u32(&at, "boots", &g->boots) < 0 ||
	    take_u32(&at, "boots-max", &g->boots_max) < 0 || take_changed(&at, &g->changed_s) < 0 ||
	    take_text(&at, "project", g->project, sizeof(g->project)) < 0 ||
	    take_text(&at, "version", g->version, sizeof(g->version)) < 0 ||
	    take_text(&at, "reason", g->reason, sizeof(g->reason)) < 0)
		return -EBADMSG;
	return *at ? -EBADMSG : 0;
}

/* A writable, NUL-terminated copy to take apart. */
static int copy_text(const char *data, size_t len, char text[static SK_GEN_RECORD_MAX])
{
	if (len >= SK_GEN_RECORD_MAX || memchr(data, '\0', len))
		return -EBADMSG;
	memcpy(text, data, len);
	text[len] = '\0';
	return 0;
}

/* One text for one content: "007" or a blank more is not what was written. */
static int same_text(const struct sk_buf *again, const char *data, size_t len)
{
	return again->len == len && memcmp(again->data, data, len) == 0 ? 0 : -EBADMSG;
}

static int decode_body(const char *data, size_t len, struct sk_generation *ret)
{
	_cleanup_buf_ struct sk_buf again = SK_BUF(SK_GEN_RECORD_MAX);
	struct sk_generation g = { 0 };
	char text[SK_GEN_RECORD_MAX];

	if (copy_text(data, len, text) < 0 || take_all(text, &g) < 0)
		return -EBADMSG;
	if (encode_body(&g, &again) < 0)
		return -ENOMEM;
	if (same_text(&again, data, len) < 0)
		return -EBADMSG;
	*ret = g;
	return 0;
}

/* Checks the last line; *ret_len is what stands before it. */
static int check_sum(const char *data, size_t len, size_t *ret_len)
{
	char line[SUM_LINE + 1];
	struct sk_digest sum;

	if (len < SUM_LINE || len > SK_GEN_RECORD_MAX)
		return -EBADMSG;
	*ret_len = len - SUM_LINE;
	if (sk_digest_of(data, *ret_len, &sum) < 0)
		return -ENOMEM;
	(void)snprintf(line, sizeof(line), SUM_PREFIX "%s\n", SK_DIGEST_STR(&sum));
	return memcmp(data + *ret_len, line, SUM_LINE) == 0 ? 0 : -EBADMSG;
}

int sk_gen_decode(const char *data, size_t len, struct sk_generation *ret)
{
	int r = check_sum(data, len, &len);

	return r < 0 ? r : decode_body(data, len, ret);
}

int sk_gen_link_decode(const char *data, size_t len, struct sk_gen_link *ret)
{
	_cleanup_buf_ struct sk_buf again = SK_BUF(SK_GEN_RECORD_MAX);
	char text[SK_GEN_RECORD_MAX], *at = text;
	struct sk_gen_link l;
	int r = check_sum(data, len, &len);

	if (r < 0)
		return r;
	if (copy_text(data, len, text) < 0 || !sk_str_starts(text, LINK_MAGIC))
		return -EBADMSG;
	at += strlen(LINK_MAGIC);
	if (take_u64(&at, "current", &l.current) < 0 || take_u64(&at, "next", &l.next) < 0)
		return -EBADMSG;
	if (encode_link_body(&l, &again) < 0)
		return -ENOMEM;
	if (same_text(&again, data, len) < 0)
		return -EBADMSG;
	*ret = l;
	return 0;
}
