// SPDX-License-Identifier: Apache-2.0
// The engine of the load generator. See load.h.
//
// A slot is one of the N connections, open or not. It is fired with an intended time, and rests
// when its request is done, well or badly; what happens then depends on the phase.

#include "answer.h"
#include "common.h"
#include "load.h"
#include "load_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define HEAD_MAX   4096
#define STALL_NS   10000000000u
#define CHECK_NS   500000000u
#define ERRORS_MAX 1000
#define SINK_BYTES 65536
#define SECOND_NS  1000000000u

enum slot_state {
	SLOT_RESTING,
	SLOT_CONNECTING,
	SLOT_SHAKING,
	SLOT_TICKET, // handshakes only: waits for the session that the next one resumes
	SLOT_HEAD,
	SLOT_BODY,
	SLOT_CLOSING, // answered; waits for the end of the connection
};

struct slot {
	int fd; // -1: not open
	enum slot_state state;
	bool ending; // the peer has closed
	bool close_after;
	uint32_t warm_left;
	uint32_t head_bytes; // of an incomplete head
	uint64_t body_left;
	uint64_t intended_ns;
	uint64_t rests_next; // index + 1 in the stack of resting slots
	struct load_tls_conn *tls;
	char head[HEAD_MAX];
};

enum phase { PHASE_WARM, PHASE_CLOSED, PHASE_OPEN };

struct load {
	struct load_options options;
	struct load_result result;
	enum phase phase;
	int epoll_fd;
	struct load_tls *tls; // NULL: clear
	struct slot *slots;
	uint64_t resting; // index + 1 of the top of the stack
	uint32_t busy;	  // slots not resting
	uint32_t opened;  // warm-up: slots started
	uint32_t sockets; // opened so far, for the source addresses
	uint64_t sent, wanted;
	uint64_t start_ns, end_ns, progress_ns, last_ns;
	char scratch[HEAD_MAX];
};

const char *const load_error_names[LOAD_ERRORS] = {
	"refused", "closed", "malformed", "status", "length", "not_closed", "stalled", "handshake"};

struct load *load_new(const struct load_options *options)
{
	struct load *load = bench_alloc(sizeof(*load));

	*load = (struct load){.options = *options};
	// Sleeps of the open loop shall end on time.
	prctl(PR_SET_TIMERSLACK, 1);
	load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (load->epoll_fd < 0)
		bench_die("epoll_create1");
	load->slots = calloc(options->connections, sizeof(*load->slots));
	if (!load->slots)
		bench_die("calloc");
	if (options->tls)
		load->tls = load_tls_new();
	for (uint32_t i = 0; i < options->connections; i++) {
		load->slots[i].fd = -1;
		if (load->tls)
			load->slots[i].tls = load_tls_conn_new(load->tls);
	}
	return load;
}

static void slot_close(struct slot *slot)
{
	if (slot->tls)
		load_tls_close(slot->tls);
	if (slot->fd >= 0)
		close(slot->fd);
	slot->fd = -1;
}

static void slot_free(struct slot *slot)
{
	slot_close(slot);
	if (slot->tls)
		load_tls_conn_free(slot->tls);
}

void load_free(struct load *load)
{
	for (uint32_t i = 0; i < load->options.connections; i++)
		slot_free(&load->slots[i]);
	if (load->tls)
		load_tls_free(load->tls);
	close(load->epoll_fd);
	free(load->slots);
	free(load);
}

const struct load_result *load_result(const struct load *load)
{
	return &load->result;
}

static void push_resting(struct load *load, struct slot *slot)
{
	slot->rests_next = load->resting;
	load->resting = (uint64_t)(slot - load->slots) + 1;
}

static struct slot *pop_resting(struct load *load)
{
	struct slot *slot = &load->slots[load->resting - 1];

	load->resting = slot->rests_next;
	return slot;
}

static void fire(struct load *load, struct slot *slot, uint64_t intended_ns);

static uint64_t error_count(const struct load *load)
{
	uint64_t count = 0;

	for (int i = 0; i < LOAD_ERRORS; i++)
		count += load->result.errors[i];
	return count;
}

// The slot is free: goes on at once, or rests.
static void rest(struct load *load, struct slot *slot, uint64_t now_ns)
{
	slot->state = SLOT_RESTING;
	load->busy--;
	load->progress_ns = now_ns;
	if (error_count(load) > ERRORS_MAX) {
		push_resting(load, slot);
	} else if (load->phase == PHASE_WARM && --slot->warm_left) {
		fire(load, slot, now_ns);
	} else if (load->phase == PHASE_WARM && load->opened < load->options.connections) {
		push_resting(load, slot);
		fire(load, &load->slots[load->opened++], now_ns);
	} else if (load->phase == PHASE_CLOSED && load->sent < load->wanted &&
		   now_ns < load->end_ns) {
		fire(load, slot, now_ns);
	} else {
		push_resting(load, slot);
	}
}

static void fail(struct load *load, struct slot *slot, enum load_error error)
{
	load->result.errors[error]++;
	slot_close(slot);
	rest(load, slot, bench_now_ns());
}

static void answered(struct load *load, struct slot *slot)
{
	uint64_t now_ns = bench_now_ns();

	if (load->phase != PHASE_WARM) {
		load->result.answered++;
		load->last_ns = now_ns;
		histogram_add(&load->result.latency, now_ns - slot->intended_ns);
	}
	if (load->options.close_each) {
		slot->state = SLOT_CLOSING;
		return;
	}
	if (slot->close_after || slot->ending) {
		load->result.reopened++;
		slot_close(slot);
	}
	rest(load, slot, now_ns);
}

static void count_up(struct load_options *options)
{
	for (uint32_t i = options->digit_count; i; i--) {
		if (*options->digits[i - 1] != '9') {
			++*options->digits[i - 1];
			return;
		}
		*options->digits[i - 1] = '0';
	}
}

static void send_request(struct load *load, struct slot *slot)
{
	count_up(&load->options);
	const char *request = load->options.request;
	size_t bytes = load->options.request_bytes;
	ssize_t sent = slot->tls ? load_tls_send(slot->tls, request, bytes)
				 : send(slot->fd, request, bytes, MSG_NOSIGNAL);

	slot->head_bytes = 0;
	slot->close_after = false;
	slot->body_left = load->options.body;
	slot->state = load->options.tcp ? SLOT_BODY : SLOT_HEAD;
	// A request is small and the one before is answered: the socket takes it whole or is
	// broken.
	if (sent != (ssize_t)bytes)
		fail(load, slot, LOAD_CLOSED);
}

// A first connection has nothing to resume.
static bool is_handshake_expected(const struct load *load, const struct slot *slot)
{
	bool resumed = load->options.resume && load->phase != PHASE_WARM;

	return load->phase == PHASE_WARM || load_tls_is_resumed(slot->tls) == resumed;
}

static void take_ticket(struct load *load, struct slot *slot)
{
	bool over = load_tls_recv(slot->tls, load->scratch, HEAD_MAX) >= 0;

	if (load_tls_has_ticket(slot->tls)) {
		slot_close(slot);
		answered(load, slot);
	} else if (over) {
		fail(load, slot, LOAD_HANDSHAKE);
	}
}

static void shake(struct load *load, struct slot *slot)
{
	int result = load_tls_shake(slot->tls);

	if (result < 0 || (result > 0 && !is_handshake_expected(load, slot))) {
		fail(load, slot, LOAD_HANDSHAKE);
	} else if (result > 0 && load->options.handshakes) {
		slot->state = SLOT_TICKET;
		take_ticket(load, slot);
	} else if (result > 0) {
		send_request(load, slot);
	}
}

static void on_connected(struct load *load, struct slot *slot)
{
	if (!slot->tls) {
		send_request(load, slot);
		return;
	}
	load_tls_open(slot->tls, slot->fd, load->options.resume);
	slot->state = SLOT_SHAKING;
	shake(load, slot);
}

static void open_slot(struct load *load, struct slot *slot)
{
	int on = 1;
	struct sockaddr_in from = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + load->sockets++ % load->options.sources),
	};

	slot->fd = bench_socket();
	slot->ending = false;
	if (load->options.sources > 1) {
		// The port is chosen when the other end is known, so that all may use all ports.
		setsockopt(slot->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(slot->fd, (struct sockaddr *)&from, sizeof(from)))
			bench_die("bind to a source address");
	}
	bool second = (slot - load->slots) & 1;
	bool connected = bench_connect(slot->fd, second ? &load->options.also : &load->options.to);
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = slot}};
	if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, slot->fd, &event))
		bench_die("epoll_ctl");
	if (connected)
		on_connected(load, slot);
	else
		slot->state = SLOT_CONNECTING;
}

static void fire(struct load *load, struct slot *slot, uint64_t intended_ns)
{
	slot->intended_ns = intended_ns;
	load->sent++;
	load->busy++;
	if (slot->fd < 0)
		open_slot(load, slot);
	else
		send_request(load, slot);
}

// Takes bytes of a head, with what may follow. False if the slot failed.
static bool take_head(struct load *load, struct slot *slot, size_t got)
{
	struct answer_head head;
	const char *data = load->scratch;

	if (slot->head_bytes) {
		if (slot->head_bytes + got > HEAD_MAX) {
			fail(load, slot, LOAD_MALFORMED);
			return false;
		}
		memcpy(slot->head + slot->head_bytes, load->scratch, got);
		got += slot->head_bytes;
		data = slot->head;
	}
	enum answer_state state = answer_read(data, got, &head);
	if (state == ANSWER_INCOMPLETE && got < HEAD_MAX) {
		if (data == load->scratch)
			memcpy(slot->head, data, got);
		slot->head_bytes = (uint32_t)got;
		return true;
	}
	if (state != ANSWER_COMPLETE) {
		fail(load, slot, LOAD_MALFORMED);
		return false;
	}
	size_t body = got - head.bytes;
	if (head.status != 200 || head.length != load->options.body || body > head.length) {
		fail(load, slot, head.status != 200 ? LOAD_STATUS : LOAD_LENGTH);
		return false;
	}
	slot->state = SLOT_BODY;
	slot->close_after = head.close;
	slot->body_left = head.length - body;
	return true;
}

static void take_end(struct load *load, struct slot *slot)
{
	if (slot->state == SLOT_CLOSING) {
		slot_close(slot);
		rest(load, slot, bench_now_ns());
	} else if (slot->state == SLOT_RESTING) {
		load->result.reopened++;
		slot_close(slot);
	} else {
		fail(load, slot, LOAD_CLOSED);
	}
}

// Drops bytes in the kernel (MSG_TRUNC on TCP): copying bodies would only make the generator the
// bottleneck. A bare system call, since the sanitizers take recv for one that writes.
static ssize_t drop_body(int fd, size_t bytes)
{
	return syscall(SYS_recvfrom, fd, NULL, bytes, MSG_TRUNC, NULL, NULL);
}

// A part of a head to the scratch, or of a body to nowhere.
static ssize_t receive(struct load *load, struct slot *slot, bool body, size_t room)
{
	static char sink[SINK_BYTES];

	if (slot->tls)
		return load_tls_recv(slot->tls, body ? sink : load->scratch,
			room < SINK_BYTES || !body ? room : SINK_BYTES);
	return body ? drop_body(slot->fd, room) : recv(slot->fd, load->scratch, room, 0);
}

// Reads until the socket is empty or the slot is done.
static void take_input(struct load *load, struct slot *slot)
{
	while (slot->fd >= 0) {
		bool body = slot->state == SLOT_BODY;
		size_t room = body && slot->body_left ? slot->body_left : HEAD_MAX;
		ssize_t got = receive(load, slot, body, room);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			take_end(load, slot);
			return;
		}
		bool empty = (size_t)got < room && !slot->ending && !slot->tls;
		if (slot->state == SLOT_HEAD) {
			if (!take_head(load, slot, (size_t)got))
				return;
		} else if (body) {
			slot->body_left -= (size_t)got;
		} else {
			load->result.errors[LOAD_LENGTH]++; // bytes that nobody asked for
			slot_close(slot);
			if (slot->state != SLOT_RESTING)
				rest(load, slot, bench_now_ns());
			return;
		}
		if (slot->state == SLOT_BODY && !slot->body_left) {
			bool ending = slot->ending;

			answered(load, slot);
			// The slot may be on its next request, or its next connection, by now.
			if (!ending || slot->state != SLOT_CLOSING)
				return;
		} else if (empty) {
			return;
		}
	}
}

static void take_event(struct load *load, struct slot *slot, uint32_t events)
{
	if (slot->fd < 0)
		return;
	if (slot->state == SLOT_CONNECTING) {
		if (events & (EPOLLERR | EPOLLHUP)) {
			fail(load, slot, LOAD_REFUSED);
			return;
		}
		if (events & EPOLLOUT)
			on_connected(load, slot);
		return;
	}
	if (slot->state == SLOT_SHAKING) {
		shake(load, slot);
		return;
	}
	if (slot->state == SLOT_TICKET) {
		take_ticket(load, slot);
		return;
	}
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		slot->ending = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		take_input(load, slot);
}

// Waits for events until the given time and takes them.
static void turn(struct load *load, uint64_t until_ns)
{
	static struct epoll_event events[EVENTS_MAX];
	uint64_t now_ns = bench_now_ns();
	uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	struct timespec wait = {
		.tv_sec = (time_t)(wait_ns / SECOND_NS), .tv_nsec = (long)(wait_ns % SECOND_NS)};
	int count = epoll_pwait2(load->epoll_fd, events, EVENTS_MAX, &wait, NULL);

	if (count < 0 && errno != EINTR)
		bench_die("epoll_pwait2");
	for (int i = 0; i < count; i++)
		take_event(load, events[i].data.ptr, events[i].events);
}

// Ends what hangs, so that the program always ends.
static void check_stall(struct load *load)
{
	if (bench_now_ns() - load->progress_ns < STALL_NS)
		return;
	load->wanted = 0;
	load->phase = PHASE_OPEN; // nothing new
	for (uint32_t i = 0; i < load->options.connections; i++) {
		struct slot *slot = &load->slots[i];

		if (slot->state != SLOT_RESTING)
			fail(load, slot,
				slot->state == SLOT_CLOSING ? LOAD_NOT_CLOSED : LOAD_STALLED);
	}
}

static void drain(struct load *load)
{
	while (load->busy) {
		turn(load, bench_now_ns() + CHECK_NS);
		check_stall(load);
	}
}

static void set_warm(struct load *load)
{
	load->phase = PHASE_WARM;
	load->progress_ns = bench_now_ns();
	for (uint32_t i = 0; i < load->options.connections; i++)
		load->slots[i].warm_left = load->options.warm;
}

void load_warm(struct load *load)
{
	set_warm(load);
	while (load->opened < load->options.connections && load->opened < load->options.ramp)
		fire(load, &load->slots[load->opened++], load->progress_ns);
	drain(load);
}

void load_warm_together(struct load *load)
{
	set_warm(load);
	for (uint32_t i = load->options.connections; i && load->resting; i--)
		fire(load, pop_resting(load), load->progress_ns);
	drain(load);
}

static void measure_closed(struct load *load)
{
	load->phase = PHASE_CLOSED;
	for (uint32_t i = load->options.connections;
		i && load->resting && load->sent < load->wanted; i--)
		fire(load, pop_resting(load), bench_now_ns());
	drain(load);
}

static void measure_open(struct load *load)
{
	uint64_t gap_ns = load->options.gap_ns;

	load->phase = PHASE_OPEN;
	if (load->end_ns != UINT64_MAX && load->wanted > load->options.time_ns / gap_ns)
		load->wanted = load->options.time_ns / gap_ns;
	while (load->sent < load->wanted && error_count(load) <= ERRORS_MAX) {
		uint64_t now_ns = bench_now_ns();

		while (load->resting && load->sent < load->wanted &&
			load->start_ns + load->sent * gap_ns <= now_ns)
			fire(load, pop_resting(load), load->start_ns + load->sent * gap_ns);
		uint64_t next_ns = load->start_ns + load->sent * gap_ns;
		turn(load, load->resting ? next_ns : now_ns + CHECK_NS);
		check_stall(load);
		// A server that cannot keep up is cut off; what is due by now is reported as
		// unsent.
		if (load->end_ns != UINT64_MAX && now_ns > load->end_ns + 2 * SECOND_NS) {
			load->result.unsent = load->wanted - load->sent;
			break;
		}
	}
	drain(load);
}

// Idle connections must be silent: more bytes would be an answer nobody asked for.
static void check_silence(struct load *load)
{
	for (uint32_t i = 0; i < load->options.connections; i++) {
		struct slot *slot = &load->slots[i];

		if (slot->fd >= 0 && !slot->tls && recv(slot->fd, load->scratch, 1, MSG_PEEK) > 0)
			load->result.errors[LOAD_LENGTH]++;
	}
}

void load_measure(struct load *load)
{
	load->sent = 0;
	load->wanted = load->options.requests ? load->options.requests : UINT64_MAX;
	load->start_ns = bench_now_ns();
	load->progress_ns = load->start_ns;
	load->last_ns = load->start_ns;
	load->end_ns = load->options.time_ns ? load->start_ns + load->options.time_ns : UINT64_MAX;
	if (load->options.gap_ns)
		measure_open(load);
	else
		measure_closed(load);
	load->result.elapsed_ns = load->last_ns - load->start_ns;
	check_silence(load);
}
