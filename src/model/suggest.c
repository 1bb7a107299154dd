/* SPDX-License-Identifier: Apache-2.0 */
#include "model/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/macros.h"

#define WORD_MAX 63

static bool same(char a, char b)
{
	if (a == '_')
		a = '-';
	if (b == '_')
		b = '-';
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Insert, delete, replace, swap neighbours: one each (optimal string alignment). */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= m; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *free_row = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned d = above[j - 1] + !same(a[i - 1], b[j - 1]);

			d = SK_MIN(d, SK_MIN(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				d = SK_MIN(d, before[j - 2] + 1);
			row[j] = d;
		}
		before = above;
		above = row;
		row = free_row;
	}
	return above[m];
}

void sk_suggest_try(struct sk_suggestion *s, const char *candidate)
{
	size_t n = strnlen(s->word, WORD_MAX + 1), m = strnlen(candidate, WORD_MAX + 1);
	size_t longer = SK_MAX(n, m);
	unsigned d;

	if (longer > WORD_MAX || longer == 0)
		return;
	d = distance(s->word, n, candidate, m);
	/* Further than a third of the word is another word, not a slip. */
	if (d > SK_MAX(longer / 3, (size_t)1) || d >= longer)
		return;
	if (!s->best || d < s->distance) {
		s->best = candidate;
		s->distance = d;
	}
}
