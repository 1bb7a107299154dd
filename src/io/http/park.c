/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "io/http/server_internal.h"

#define EVENTS_MAX 64

/*
 * What MHD lacks. Its time-out counts from the last byte, so a peer that sends one now and then
 * holds a connection for ever; and it does not look at suspended connections at all, so it does not
 * see those peers leave. One epoll descriptor holds a timer for the former and the suspended
 * sockets for the latter; a loop or a thread of ours calls run() when it is readable.
 */

static void arm(struct sk_http *h, uint64_t at_ms)
{
	struct itimerspec t = { .it_value = { .tv_sec = (time_t)(at_ms / 1000),
					      .tv_nsec = (long)(at_ms % 1000) * 1000000 } };

	h->armed_ms = at_ms;
	if (at_ms == UINT64_MAX)
		t.it_value = (struct timespec){ 0 };
	(void)timerfd_settime(h->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

void sk_http_deadline(struct sk_http_req *r, uint64_t deadline_ms)
{
	struct sk_http *h = r->h;

	r->deadline_ms = deadline_ms;
	if (deadline_ms == 0 || deadline_ms >= h->armed_ms)
		return;
	pthread_mutex_lock(&h->lock);
	if (deadline_ms < h->armed_ms)
		arm(h, deadline_ms);
	pthread_mutex_unlock(&h->lock);
}

int sk_http_park(struct sk_http_req *r, uint64_t deadline_ms)
{
	struct epoll_event e = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = r };

	if (r->h->stopping)
		return -ESHUTDOWN;
	if (epoll_ctl(r->h->watch_fd, EPOLL_CTL_ADD, r->fd, &e) < 0)
		return -errno;
	r->watched = true;
	r->deadline_ms = deadline_ms;
	if (deadline_ms != 0 && deadline_ms < r->h->armed_ms)
		arm(r->h, deadline_ms);
	MHD_suspend_connection(r->mhd);
	return 0;
}

void sk_http_unpark(struct sk_http_req *r)
{
	if (r->watched)
		(void)epoll_ctl(r->h->watch_fd, EPOLL_CTL_DEL, r->fd, NULL);
	r->watched = false;
	r->deadline_ms = 0;
	MHD_resume_connection(r->mhd);
	/* MHD wakes threads of its own; a loop that we drive has to be woken here. */
	if (r->h->config.event)
		(void)eventfd_write(r->h->wake_fd, 1);
}

static void peer_left(struct sk_http_req *r)
{
	if (r->phase == PHASE_SUSPENDED) {
		r->phase = PHASE_LEAVING;
		sk_http_unpark(r);
	} else if (r->phase == PHASE_HELD) {
		/* The peer has left: the part of the body that arrived is dropped. */
		r->phase = PHASE_LINGER;
		sk_http_unpark(r);
	} else if (r->stream) {
		sk_http_stream_hang_up(r->stream);
	}
}

static void expired(struct sk_http_req *r)
{
	r->deadline_ms = 0;
	if (r->phase != PHASE_SUSPENDED) {
		/* MHD sees the end of the connection and cleans up. */
		(void)shutdown(r->fd, SHUT_RDWR);
		return;
	}
	r->response =
		MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
	r->status = MHD_HTTP_NO_CONTENT;
	r->phase = PHASE_EXPIRED;
	sk_http_unpark(r);
}

static void sweep(struct sk_http *h)
{
	uint64_t now = sk_mono_ms(), next = UINT64_MAX, ticks;

	(void)!read(h->timer_fd, &ticks, sizeof(ticks));
	/* Before looking: a deadline that is set meanwhile is either seen here or armed after this. */
	h->armed_ms = UINT64_MAX;
	for (struct sk_http_req *r = h->conns; r; r = r->next) {
		uint64_t at = r->deadline_ms;

		if (at != 0 && at <= now)
			expired(r);
		else if (at != 0)
			next = SK_MIN(next, at);
	}
	arm(h, next);
}

/*
 * Events are fetched with the lock held: who leaves a suspension takes its socket out under the same
 * lock, so no event can name a request that is gone.
 */
static void run(struct sk_http *h)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	do {
		pthread_mutex_lock(&h->lock);
		n = epoll_wait(h->watch_fd, events, EVENTS_MAX, 0);
		for (int i = 0; i < n; i++) {
			eventfd_t n_wakes;

			if (events[i].data.ptr == &h->timer_fd)
				sweep(h);
			else if (events[i].data.ptr == &h->wake_fd)
				(void)eventfd_read(h->wake_fd, &n_wakes);
			else
				peer_left(events[i].data.ptr);
		}
		pthread_mutex_unlock(&h->lock);
	} while (n == EVENTS_MAX);
}

static void *watcher(void *arg)
{
	struct sk_http *h = arg;
	struct pollfd fds[] = { { .fd = h->watch_fd, .events = POLLIN },
				{ .fd = h->wake_fd, .events = POLLIN } };

	while (fds[1].revents == 0) {
		(void)poll(fds, ARRAY_SIZE(fds), -1);
		run(h);
	}
	return NULL;
}

static int on_loop(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct sk_http *h = arg;

	run(h);
	if (h->daemon)
		(void)MHD_run(h->daemon);
	return 0;
}

static int open_fds(struct sk_http *h)
{
	struct epoll_event timer = { .events = EPOLLIN, .data.ptr = &h->timer_fd };
	struct epoll_event wake = { .events = EPOLLIN, .data.ptr = &h->wake_fd };

	h->watch_fd = epoll_create1(EPOLL_CLOEXEC);
	/* The clock of sk_mono_ms(), so that time asleep counts. */
	h->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->armed_ms = UINT64_MAX;
	if (h->watch_fd < 0 || h->timer_fd < 0 || h->wake_fd < 0)
		return -errno;
	if (epoll_ctl(h->watch_fd, EPOLL_CTL_ADD, h->timer_fd, &timer) < 0 ||
	    (h->config.event && epoll_ctl(h->watch_fd, EPOLL_CTL_ADD, h->wake_fd, &wake) < 0))
		return -errno;
	return 0;
}

int sk_http_watch_start(struct sk_http *h, struct sk_err *err)
{
	int r = open_fds(h);

	if (r == 0 && h->config.event)
		r = sd_event_add_io(h->config.event, &h->watch_io, h->watch_fd, EPOLLIN, on_loop,
				    h);
	else if (r == 0)
		r = -pthread_create(&h->watcher, NULL, watcher, h);
	if (r < 0)
		return sk_err_set(err, r, "internal", "cannot watch connections: %s", strerror(-r));
	h->has_watcher = !h->config.event;
	return 0;
}

/* No suspension is left and none is possible afterwards: MHD aborts when it is stopped with one. */
void sk_http_watch_stop(struct sk_http *h)
{
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	for (struct sk_http_req *r = h->conns; r; r = r->next)
		peer_left(r);
	pthread_mutex_unlock(&h->lock);
	if (h->has_watcher) {
		(void)eventfd_write(h->wake_fd, 1);
		(void)pthread_join(h->watcher, NULL);
	}
	h->watch_io = sd_event_source_disable_unref(h->watch_io);
}
