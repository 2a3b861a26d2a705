// SPDX-License-Identifier: Apache-2.0
// The relay on io_uring. All sockets receive into one ring of blocks; what a turn of the loop has
// received is sent at its end, all blocks of a socket in one sendmsg, so that one io_uring_enter
// carries every receive and send of the turn. A socket has one send in flight at most.
//
// Blocks start at staggered offsets: page-aligned ones would all fall into the same cache sets.

#include "common.h"
#include "relay.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SQ_ENTRIES    4096
#define CQ_ENTRIES    32768
#define BLOCK_GROUP   0
#define BLOCK_STAGGER 192 // bytes between blocks: three cache lines
#define SEND_BLOCKS   16  // of one sendmsg
#define QUEUE_MAX     2	  // blocks of a one-shot side received and not sent: then it stops reading
#define NO_BLOCK      UINT32_MAX

// In the low bits of user_data, beside the address of the side.
enum operation { OP_RECV, OP_SEND, OP_CONNECT, OP_ACCEPT, OP_MASK = 7 };

struct pair;

// One socket, and the way from it to its peer.
struct side {
	int fd;
	bool receiving, sending;
	bool more;  // the last receive said that the socket holds more
	bool ended; // the end was received
	bool listed, starved;
	uint32_t first, last; // queue of received blocks, linked by block_next
	uint32_t queued;
	uint32_t in_flight; // blocks of the send under way, from the head of the queue
	struct side *peer;
	struct pair *pair;
	struct side *next_listed;  // has blocks to send
	struct side *next_starved; // found the ring of blocks empty
	struct msghdr message;
	struct iovec vectors[SEND_BLOCKS];
} __attribute__((aligned(64)));

struct pair {
	struct side client, upstream;
	uint32_t operations; // submitted and not completed: freed at zero
	bool closing;
};

struct relay {
	const struct relay_options *options;
	bool multishot;
	struct io_uring ring;
	struct io_uring_buf_ring *block_ring;
	char *memory;
	size_t stride;
	uint32_t *block_next;
	uint32_t *block_bytes;
	int returned; // blocks put back since the last advance
	struct side *listed, *starved;
};

static struct io_uring_sqe *next_sqe(struct relay *relay)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&relay->ring);

	if (sqe)
		return sqe;
	io_uring_submit(&relay->ring);
	sqe = io_uring_get_sqe(&relay->ring);
	if (!sqe)
		bench_die("the submission queue stays full");
	return sqe;
}

static void tag(struct io_uring_sqe *sqe, struct side *side, enum operation operation)
{
	side->pair->operations++;
	io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)side | operation);
}

static char *block_at(struct relay *relay, uint32_t block)
{
	return relay->memory + (size_t)block * relay->stride;
}

static void return_block(struct relay *relay, uint32_t block)
{
	io_uring_buf_ring_add(relay->block_ring, block_at(relay, block),
		relay->options->block_bytes, (unsigned short)block,
		io_uring_buf_ring_mask(relay->options->blocks), relay->returned++);
}

static void start_recv(struct relay *relay, struct side *side)
{
	if (side->receiving || side->ended || side->pair->closing || side->starved)
		return;
	if (!relay->multishot && side->queued >= QUEUE_MAX)
		return;
	struct io_uring_sqe *sqe = next_sqe(relay);
	if (relay->multishot)
		io_uring_prep_recv_multishot(sqe, side->fd, NULL, 0, 0);
	else
		io_uring_prep_recv(sqe, side->fd, NULL, relay->options->block_bytes, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BLOCK_GROUP;
	if (!side->more)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	tag(sqe, side, OP_RECV);
	side->receiving = true;
}

static void start_send(struct relay *relay, struct side *side)
{
	struct io_uring_sqe *sqe = next_sqe(relay);
	uint32_t count = 0;

	for (uint32_t block = side->first; block != NO_BLOCK && count < SEND_BLOCKS;
		block = relay->block_next[block])
		side->vectors[count++] = (struct iovec){
			.iov_base = block_at(relay, block), .iov_len = relay->block_bytes[block]};
	side->in_flight = count;
	if (count == 1) {
		io_uring_prep_send(sqe, side->peer->fd, side->vectors[0].iov_base,
			side->vectors[0].iov_len, MSG_NOSIGNAL | MSG_WAITALL);
	} else {
		side->message = (struct msghdr){.msg_iov = side->vectors, .msg_iovlen = count};
		io_uring_prep_sendmsg(
			sqe, side->peer->fd, &side->message, MSG_NOSIGNAL | MSG_WAITALL);
	}
	tag(sqe, side, OP_SEND);
	side->sending = true;
}

static uint32_t drop_blocks(struct relay *relay, struct side *side, uint32_t count)
{
	uint32_t bytes = 0;

	while (count--) {
		uint32_t block = side->first;

		side->first = relay->block_next[block];
		side->queued--;
		bytes += relay->block_bytes[block];
		return_block(relay, block);
	}
	if (side->first == NO_BLOCK)
		side->last = NO_BLOCK;
	return bytes;
}

static void list_side(struct relay *relay, struct side *side)
{
	if (side->listed)
		return;
	side->listed = true;
	side->next_listed = relay->listed;
	relay->listed = side;
}

// Both sockets are shut down first, which completes what is pending on them; the last completion
// closes and frees.
static void pair_close(struct pair *pair, bool reset)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (pair->closing)
		return;
	pair->closing = true;
	if (reset) {
		setsockopt(pair->client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		setsockopt(pair->upstream.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	}
	shutdown(pair->client.fd, SHUT_RDWR);
	shutdown(pair->upstream.fd, SHUT_RDWR);
}

// Lists keep sides by address: a pair on one of them waits for the end of the turn.
static void pair_free_if_done(struct relay *relay, struct pair *pair)
{
	if (!pair->closing || pair->operations || pair->client.listed || pair->upstream.listed ||
		pair->client.starved || pair->upstream.starved)
		return;
	drop_blocks(relay, &pair->client, pair->client.queued);
	drop_blocks(relay, &pair->upstream, pair->upstream.queued);
	close(pair->client.fd);
	close(pair->upstream.fd);
	free(pair);
}

// Passes the end on once everything before it was sent.
static void pass_end(struct side *side)
{
	if (!side->ended || side->queued)
		return;
	shutdown(side->peer->fd, SHUT_WR);
	if (side->peer->ended && !side->peer->queued)
		pair_close(side->pair, false);
}

static void queue_block(struct relay *relay, struct side *side, uint32_t block, uint32_t bytes)
{
	relay->block_bytes[block] = bytes;
	relay->block_next[block] = NO_BLOCK;
	if (side->last == NO_BLOCK)
		side->first = block;
	else
		relay->block_next[side->last] = block;
	side->last = block;
	side->queued++;
}

static void took_recv(struct relay *relay, struct side *side, const struct io_uring_cqe *cqe)
{
	side->receiving = cqe->flags & IORING_CQE_F_MORE;
	side->more = cqe->flags & IORING_CQE_F_SOCK_NONEMPTY;
	if (cqe->res > 0) {
		queue_block(relay, side, cqe->flags >> IORING_CQE_BUFFER_SHIFT, (uint32_t)cqe->res);
		if (!side->sending)
			list_side(relay, side);
		start_recv(relay, side);
		return;
	}
	if (cqe->flags & IORING_CQE_F_BUFFER)
		return_block(relay, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	if (cqe->res == -ENOBUFS) {
		side->more = true;
		side->starved = true;
		side->next_starved = relay->starved;
		relay->starved = side;
	} else if (!cqe->res) {
		side->ended = true;
		pass_end(side);
	} else {
		pair_close(side->pair, true);
	}
}

static void took_send(struct relay *relay, struct side *side, int result)
{
	uint32_t count = side->in_flight;

	side->sending = false;
	uint32_t bytes = drop_blocks(relay, side, count);
	// MSG_WAITALL: short only when the connection is broken.
	if (result < 0 || (uint32_t)result != bytes) {
		pair_close(side->pair, true);
		return;
	}
	if (side->queued)
		list_side(relay, side);
	start_recv(relay, side);
	pass_end(side);
}

static void side_init(struct side *side, int fd, struct pair *pair, struct side *peer)
{
	*side = (struct side){
		.fd = fd, .first = NO_BLOCK, .last = NO_BLOCK, .peer = peer, .pair = pair};
}

static void took_client(struct relay *relay, int fd)
{
	struct pair *pair = aligned_alloc(64, sizeof(*pair));

	if (!pair)
		bench_die("aligned_alloc");
	pair->operations = 0;
	pair->closing = false;
	side_init(&pair->client, fd, pair, &pair->upstream);
	side_init(&pair->upstream, bench_socket(), pair, &pair->client);
	struct io_uring_sqe *sqe = next_sqe(relay);
	io_uring_prep_connect(sqe, pair->upstream.fd,
		(const struct sockaddr *)&relay->options->upstream,
		sizeof(relay->options->upstream));
	tag(sqe, &pair->upstream, OP_CONNECT);
}

static void start_accept(struct relay *relay)
{
	struct io_uring_sqe *sqe = next_sqe(relay);

	io_uring_prep_multishot_accept(sqe, relay->options->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, OP_ACCEPT);
}

static void took_accept(struct relay *relay, const struct io_uring_cqe *cqe)
{
	if (cqe->res < 0) {
		errno = -cqe->res;
		bench_die("accept");
	}
	took_client(relay, cqe->res);
	if (!(cqe->flags & IORING_CQE_F_MORE))
		start_accept(relay);
}

static void took(struct relay *relay, const struct io_uring_cqe *cqe)
{
	enum operation operation = (enum operation)(cqe->user_data & OP_MASK);

	if (operation == OP_ACCEPT) {
		took_accept(relay, cqe);
		return;
	}
	struct side *side = (struct side *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);
	struct pair *pair = side->pair;
	if (!(cqe->flags & IORING_CQE_F_MORE))
		pair->operations--;
	if (operation == OP_RECV) {
		took_recv(relay, side, cqe);
	} else if (operation == OP_SEND) {
		took_send(relay, side, cqe->res);
	} else if (cqe->res < 0) {
		pair_close(pair, true);
	} else {
		start_recv(relay, &pair->client);
		start_recv(relay, &pair->upstream);
	}
	pair_free_if_done(relay, pair);
}

static void send_listed(struct relay *relay)
{
	while (relay->listed) {
		struct side *side = relay->listed;

		relay->listed = side->next_listed;
		side->listed = false;
		if (!side->pair->closing && side->queued && !side->sending)
			start_send(relay, side);
		pair_free_if_done(relay, side->pair);
	}
}

// Gives the blocks back to the kernel, then lets those go on that found none.
static void refill(struct relay *relay)
{
	if (!relay->returned)
		return;
	io_uring_buf_ring_advance(relay->block_ring, relay->returned);
	relay->returned = 0;
	struct side *side = relay->starved;
	relay->starved = NULL;
	while (side) {
		struct side *next = side->next_starved;

		side->starved = false;
		start_recv(relay, side);
		pair_free_if_done(relay, side->pair);
		side = next;
	}
}

static void *map(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		bench_die("mmap of %zu bytes", bytes);
	return memory;
}

static void ring_open(struct relay *relay)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
			 IORING_SETUP_CLAMP,
		.cq_entries = CQ_ENTRIES,
	};
	int result = io_uring_queue_init_params(SQ_ENTRIES, &relay->ring, &params);

	if (result < 0) {
		errno = -result;
		bench_die("io_uring (needs Linux 6.1 and permission)");
	}
	io_uring_register_ring_fd(&relay->ring); // saves a little per enter; no harm if refused
}

static void blocks_open(struct relay *relay)
{
	uint32_t blocks = relay->options->blocks;
	struct io_uring_buf_reg registration = {.ring_entries = blocks, .bgid = BLOCK_GROUP};

	relay->stride = relay->options->block_bytes + BLOCK_STAGGER;
	relay->memory = map(relay->stride * blocks);
	relay->block_next = bench_alloc(blocks * sizeof(uint32_t));
	relay->block_bytes = bench_alloc(blocks * sizeof(uint32_t));
	relay->block_ring = map(blocks * sizeof(struct io_uring_buf));
	registration.ring_addr = (uint64_t)(uintptr_t)relay->block_ring;
	int result = io_uring_register_buf_ring(&relay->ring, &registration, 0);
	if (result < 0) {
		errno = -result;
		bench_die("io_uring_register_buf_ring");
	}
	io_uring_buf_ring_init(relay->block_ring);
	for (uint32_t block = 0; block < blocks; block++)
		return_block(relay, block);
	refill(relay);
}

_Noreturn void relay_uring_run(const struct relay_options *options, bool multishot)
{
	struct relay relay = {.options = options, .multishot = multishot};

	ring_open(&relay);
	blocks_open(&relay);
	start_accept(&relay);
	for (;;) {
		int result = io_uring_submit_and_wait(&relay.ring, 1);
		struct io_uring_cqe *cqe;
		unsigned int head, count = 0;

		if (result < 0 && result != -EINTR && result != -EBUSY) {
			errno = -result;
			bench_die("io_uring_enter");
		}
		io_uring_for_each_cqe(&relay.ring, head, cqe)
		{
			took(&relay, cqe);
			count++;
		}
		io_uring_cq_advance(&relay.ring, count);
		send_listed(&relay);
		refill(&relay);
	}
}
