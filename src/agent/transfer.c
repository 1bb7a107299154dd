/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#define PROGRESS_EVERY_MS 2000
#define THREAD_STACK	  (256u << 10)

/* The half that feeds skerryd: a thread, as both ends are blocking calls. */
struct feeding {
	struct sk_http_client *client;
	struct sk_device_image image;
	int from;
	struct sk_err err;
	int result;
};

/* The half that asks the hub. */
struct asking {
	struct sk_http_call *call;
	struct sk_device_image image;
	int to;
	uint64_t passed; /* bytes handed on */
	uint64_t skip;	 /* a server without ranges sends what is here already */
	bool begun;
	uint64_t reported_ms;
	sk_transfer_progress progress;
	void *arg;
};

static void *feed(void *arg)
{
	struct feeding *f = arg;
	_cleanup_free_ char *path = sk_asprintf("/skerry/v1/images/%s?offset=%" PRIu64,
						SK_DIGEST_STR(&f->image.digest), f->image.offset);
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "PUT", .path = path, .body_fd = f->from,
			     .body_len = f->image.size_bytes - f->image.offset, .answer_max = 4096);

	f->result = path ? sk_http_call(f->client, &call, &f->err) : sk_err_oom(&f->err);
	/* Closed, so that the writer of the pipe gets EPIPE. */
	(void)close(TAKE_FD(f->from));
	return NULL;
}

static int on_bytes(void *arg, const void *data, size_t len)
{
	struct asking *a = arg;
	uint64_t left = a->image.size_bytes - a->image.offset - a->passed;
	size_t skip;

	if (!a->begun && a->call->status == 200)
		a->skip = a->image.offset;
	a->begun = true;
	skip = SK_MIN(a->skip, (uint64_t)len);
	a->skip -= skip;
	data = (const char *)data + skip;
	len -= skip;
	if (len > left)
		return -EFBIG;
	if (len > 0 && sk_fd_write(a->to, data, len) < 0)
		return -EPIPE;
	a->passed += len;
	if (a->progress && sk_mono_ms() - a->reported_ms >= PROGRESS_EVERY_MS) {
		a->reported_ms = sk_mono_ms();
		a->progress(a->arg, a->image.offset + a->passed);
	}
	return 0;
}

static int ask(struct sk_hub_link *hub, struct asking *a, struct sk_err *err)
{
	char path[32 + SK_DIGEST_HEX], range[64];
	const char *headers[] = { NULL, NULL };
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "GET", .path = path, .headers = headers, .write = on_bytes,
			     .arg = a, .answer_max = 4096);
	int r;

	(void)snprintf(path, sizeof(path), "/device/v1/images/%s", SK_DIGEST_STR(&a->image.digest));
	(void)snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-", a->image.offset);
	if (a->image.offset > 0)
		headers[0] = range;
	a->call = &call;
	r = sk_hub_call(hub, &call, err);
	a->call = NULL;
	if (r == 0 && a->image.offset + a->passed < a->image.size_bytes)
		r = sk_err_set(err, -EREMOTEIO, "io", "the hub's copy of image %s is too short",
			       SK_DIGEST_STR(&a->image.digest));
	return r;
}

static int start_feeding(struct feeding *f, pthread_t *ret)
{
	pthread_attr_t attr;
	int r;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, THREAD_STACK);
	r = pthread_create(ret, &attr, feed, f);
	(void)pthread_attr_destroy(&attr);
	return -r;
}

/* Whose failure is reported, and whether trying again can help. */
static int judge(int asked, const struct feeding *f, const struct sk_err *ask_err,
		 bool *ret_refused, struct sk_err *err)
{
	*ret_refused = false;
	/* The feeder's -ENODATA only says that the hub's half ended before. */
	if (f->result < 0 && f->result != -ENODATA) {
		*err = f->err;
		*ret_refused = sk_device_refused(f->result, &f->err);
		return sk_err_is(&f->err, "digest-mismatch") ? -EBADMSG : f->result;
	}
	if (asked < 0) {
		*err = *ask_err;
		*ret_refused = sk_hub_is_final(asked);
		return asked;
	}
	if (f->result < 0)
		*err = f->err;
	return f->result;
}

static int stream(struct sk_hub_link *hub, struct sk_device_link *device, struct asking *a,
		  bool *ret_refused, struct sk_err *err)
{
	struct sk_http_client_config config = { .base_url = "http://skerry",
						.unix_socket = device->socket };
	_cleanup_(sk_http_client_freep) struct sk_http_client *client = NULL;
	struct feeding f = { .image = a->image };
	struct sk_err ask_err = SK_ERR_INIT;
	pthread_t thread;
	int fds[2], r = sk_http_client_new(&config, &client, err);

	if (r < 0)
		return r;
	f.client = client;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return sk_err_set(err, -errno, "io", "no pipe: %s", strerror(errno));
	f.from = fds[0];
	a->to = fds[1];
	r = start_feeding(&f, &thread);
	if (r < 0) {
		(void)close(fds[0]);
		(void)close(fds[1]);
		return sk_err_set(err, r, "internal", "no thread: %s", strerror(-r));
	}
	/* With all bytes here and only the seal missing, the hub is not asked. */
	if (a->image.offset < a->image.size_bytes)
		r = ask(hub, a, &ask_err);
	(void)close(TAKE_FD(a->to));
	(void)pthread_join(thread, NULL);
	return judge(r, &f, &ask_err, ret_refused, err);
}

int sk_transfer_image(struct sk_hub_link *hub, struct sk_device_link *device,
		      const struct sk_digest *digest, sk_transfer_progress progress, void *arg,
		      bool *ret_refused, struct sk_err *err)
{
	struct asking a = {
		.to = -1, .progress = progress, .arg = arg, .reported_ms = sk_mono_ms()
	};
	int r = sk_device_image(device, digest, &a.image, err);

	*ret_refused = r < 0 && sk_device_refused(r, err);
	if (r < 0 || a.image.have)
		return r;
	if (a.image.offset > 0)
		sk_info("image %s goes on at %" PRIu64 " of %" PRIu64 " bytes",
			SK_DIGEST_STR(digest), a.image.offset, a.image.size_bytes);
	return stream(hub, device, &a, ret_refused, err);
}
