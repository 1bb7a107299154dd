/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/**
 * struct sk_suggestion - the nearest of some known words to one that is not known
 * @word: what was written; set it, then call sk_suggest_try() for every known word
 * @best: the nearest so far, borrowed; NULL while none is near enough to be meant
 */
struct sk_suggestion {
	const char *word;
	const char *best;
	unsigned distance;
};

/** sk_suggest_try() - @candidate becomes @best when it is nearer; '-' and '_', 'a' and 'A' are one. */
void sk_suggest_try(struct sk_suggestion *s, const char *candidate);
