// SPDX-License-Identifier: Apache-2.0
// A scrape from a shell, for promtool and for whoever wants to know what it costs:
//
//	expose_tool prometheus|openmetrics BACKENDS [ROUNDS]
//
// Prints the document; with ROUNDS only its size and the time of the fastest of so many instead.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "shop.h"

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	enum expose_format format =
		argc > 1 && argv[1][0] == 'o' ? EXPOSE_OPENMETRICS : EXPOSE_PROMETHEUS;
	u32 backends = argc > 2 ? (u32)strtoul(argv[2], NULL, 10) : 10;
	u32 rounds = argc > 3 ? (u32)strtoul(argv[3], NULL, 10) : 0;
	struct text text = {0};
	struct shop shop;
	double best = 1e9;

	shop_open(&shop, 2, 2, 5, MAX(backends / 5, 1), 50);
	for (u32 i = 0; i < MAX(rounds, 1); i++) {
		double begun = now_ms(), took;

		text.len = 0;
		expose_write(&text, format, &shop.source);
		took = now_ms() - begun;
		best = MIN(best, took);
	}
	if (rounds)
		printf("%zu bytes in %.2f ms\n", text.len, best);
	else
		fwrite(text.data, 1, text.len, stdout);
	text_done(&text);
	shop_close(&shop);
	return 0;
}
