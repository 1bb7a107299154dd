/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One line (or part of one) of a capsule's output. @stream: 1 standard output, 2 standard error. */
struct sk_log_line {
	int stream;
	int64_t time_s;
	uint32_t time_ns;
	const char *text; /* not NUL-terminated; with its newline when the line is whole */
	size_t len;
};

struct sk_log_query {
	bool follow;
	bool stdout_, stderr_;
	int64_t tail;		  /* last lines; -1 for all */
	int64_t since_s, until_s; /* 0: no bound */
};

/**
 * struct sk_log_sink - the reader of a log
 * @line:    non-zero return pauses until the reader's resume()
 * @end:     once, when all was read; the reader may be closed inside it, but not inside @line
 * @is_over: nothing more will be written; asked when following and all so far is read
 */
struct sk_log_sink {
	int (*line)(void *arg, const struct sk_log_line *l);
	void (*end)(void *arg);
	bool (*is_over)(void *arg);
	void *arg;
};

/** struct sk_log_reader - an open log; first member of what its kind makes of it */
struct sk_log_reader {
	const struct sk_log_reader_ops *ops;
};

struct sk_log_reader_ops {
	void (*resume)(struct sk_log_reader *r);
	/** is_over() may answer otherwise than before: go on reading, unless paused. */
	void (*poke)(struct sk_log_reader *r);
	void (*close)(struct sk_log_reader *r);
};
