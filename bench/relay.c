// SPDX-License-Identifier: Apache-2.0
// bench-relay: chooses an engine and its sizes. See relay.h.

#include "common.h"
#include "relay.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "usage: bench-relay --listen HOST:PORT --upstream HOST:PORT [options]\n"
			    "  --mode epoll|splice|uring|uring-multishot   (epoll)\n"
			    "  --buffer BYTES   epoll: size of the copy buffer (65536)\n"
			    "  --pipe BYTES     splice: capacity of a pipe (262144)\n"
			    "  --block BYTES    io_uring: size of a receive block (4096)\n"
			    "  --blocks N       io_uring: number of blocks, a power of two (256)\n";

enum option_name {
	OPT_LISTEN = 1,
	OPT_UPSTREAM,
	OPT_MODE,
	OPT_BUFFER,
	OPT_PIPE,
	OPT_BLOCK,
	OPT_BLOCKS
};

static const struct option long_options[] = {
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"upstream", required_argument, NULL, OPT_UPSTREAM},
	{"mode", required_argument, NULL, OPT_MODE},
	{"buffer", required_argument, NULL, OPT_BUFFER},
	{"pipe", required_argument, NULL, OPT_PIPE},
	{"block", required_argument, NULL, OPT_BLOCK},
	{"blocks", required_argument, NULL, OPT_BLOCKS},
	{NULL, 0, NULL, 0},
};

static void set_option(struct relay_options *options, int option, const char *text)
{
	switch (option) {
	case OPT_UPSTREAM:
		options->upstream = bench_address(text);
		break;
	case OPT_BUFFER:
		options->buffer_bytes = bench_number("--buffer", text, 512, 16u << 20);
		break;
	case OPT_PIPE:
		options->pipe_bytes = bench_number("--pipe", text, 4096, 1u << 20);
		break;
	case OPT_BLOCK:
		options->block_bytes = (uint32_t)bench_number("--block", text, 512, 1u << 20);
		break;
	case OPT_BLOCKS:
		options->blocks = (uint32_t)bench_number("--blocks", text, 8, 32768);
		if (options->blocks & (options->blocks - 1))
			bench_die("--blocks takes a power of two");
		break;
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct relay_options options = {
		.buffer_bytes = 65536, .pipe_bytes = 262144, .block_bytes = 4096, .blocks = 256};
	const char *listen_text = NULL;
	const char *mode = "epoll";
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPT_LISTEN)
			listen_text = optarg;
		else if (option == OPT_MODE)
			mode = optarg;
		else
			set_option(&options, option, optarg);
	}
	if (!listen_text || !options.upstream.sin_port || optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	struct sockaddr_in listen_at = bench_address(listen_text);
	bench_prepare();
	options.listen_fd = bench_listen(&listen_at);
	if (!strcmp(mode, "epoll") || !strcmp(mode, "splice"))
		relay_epoll_run(&options, *mode == 's');
	if (!strcmp(mode, "uring") || !strcmp(mode, "uring-multishot"))
		relay_uring_run(&options, mode[5] == '-');
	errno = 0;
	bench_die("unknown mode '%s'", mode);
}
