// SPDX-License-Identifier: Apache-2.0
#include "control/tunnels.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/channel.h"
#include "proxy/passing.h"

// A parcel on its way, from or to a worker.
struct shipment {
	struct tunnels *tunnels;
	struct parcel *parcel;
	struct list node; // of a giver: among `queue` or `sent`
	struct worker_call call;
	enum passing_verdict verdict; // for a giver's worker
	bool is_given;		      // by it
	const char *refused;	      // by a taker's worker; NULL: taken
};

// What of the first parcel in the queue is sent next.
struct progress {
	u8 part; // enum part
	size_t at;
};

enum part {
	PART_WORDS,
	PART_UP,
	PART_DOWN,
	PART_CLIENT,
	PART_BACKEND,
	PART_CLAIM,
	PART_WHOLE,
	PART_COUNT,
};

// An answer to what was given has to come within this time. A tunnel is silent until then.
enum { answer_wait_ms = 5000 };

struct begin {
	struct tunnels *tunnels;
	struct worker_call call;
	struct message through;
};

// One end of a channel.
struct end {
	struct tunnels *tunnels;
	struct sock sock; // fd -1: closed
	struct op in, out;
	bool is_open;
};

struct tunnels {
	struct loop *loop;
	struct log *log;
	struct workers *workers;
	struct end giving, taking;
	struct list queue, sent; // shipments of the giver
	struct progress progress;
	struct begin *begins; // one for each worker; NULL: nothing is given
	u32 workers_through;
	bool is_through, owes_through; // all of them | and the other process is to be told
	struct timer answer_timer;     // set while an answer is awaited
	bool is_expecting;	       // workers wait for what comes
	struct list answers;	       // shipments of the taker that were tried
	bool is_stopped;
	struct parcel *arriving; // NULL: none
	bool is_spoilt;		 // the one that arrives
	u32 next_worker;
	u32 calls; // with workers
	u64 given, kept, taken, refused;
	u64 said; // of given and kept
};

// ---- The channel --------------------------------------------------------------------------------

static void end_open(
	struct end *end, struct tunnels *tunnels, int fd, op_done_fn *on_in, op_done_fn *on_out)
{
	end->tunnels = tunnels;
	op_init(&end->in, on_in);
	op_init(&end->out, on_out);
	sock_open(tunnels->loop, &end->sock, fd);
	end->is_open = true;
	loop_ready(tunnels->loop, &end->sock, &end->in, LOOP_IN);
}

static void end_finish(struct end *end)
{
	if (end->is_open || end->sock.fd < 0 || op_is_out(&end->in) || op_is_out(&end->out))
		return;
	sock_close(end->tunnels->loop, &end->sock);
	end->sock.fd = -1;
}

static void end_close(struct end *end)
{
	if (!end->is_open)
		return;
	end->is_open = false;
	loop_cancel(end->tunnels->loop, &end->in);
	loop_cancel(end->tunnels->loop, &end->out);
	end_finish(end);
}

static void end_hear(struct end *end)
{
	loop_ready(end->tunnels->loop, &end->sock, &end->in, LOOP_IN);
}

// "WORKER NUMBER", and what follows.
static bool read_name(struct str *text, u64 *ret_worker, u64 *ret_number)
{
	return str_to_u64(str_cut(text, ' '), UINT32_MAX, ret_worker) == 0 &&
	       str_to_u64(str_cut(text, ' '), UINT64_MAX - 1, ret_number) == 0;
}

// ---- Giving -------------------------------------------------------------------------------------

static void shipment_free(struct shipment *shipment)
{
	list_remove(&shipment->node);
	parcel_free(shipment->parcel);
	mem_free(shipment);
}

static void run_settle(struct worker_call *call, struct proxy *proxy)
{
	struct shipment *shipment = container_of(call, struct shipment, call);

	shipment->is_given = passing_settle(proxy, shipment->parcel->number, shipment->verdict);
}

static void on_settled(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);
	struct shipment *shipment = container_of(call, struct shipment, call);
	struct tunnels *tunnels = shipment->tunnels;

	tunnels->calls--;
	if (shipment->is_given)
		tunnels->given++;
	else
		tunnels->kept++;
	shipment_free(shipment);
}

static void settle(struct shipment *shipment, enum passing_verdict verdict)
{
	struct tunnels *tunnels = shipment->tunnels;

	list_remove(&shipment->node);
	tunnels->calls++;
	shipment->verdict = verdict;
	shipment->call = (struct worker_call){
		.run = run_settle, .asker = tunnels->loop, .answered = on_settled};
	worker_call(&tunnels->workers->all[shipment->parcel->worker], &shipment->call);
}

// The other process is gone, or does not understand. It cannot have begun with what it has not got
// whole; with the rest only where it has claimed it.
static void give_no_more(struct tunnels *tunnels)
{
	end_close(&tunnels->giving);
	loop_timer_cancel(tunnels->loop, &tunnels->answer_timer);
	while (!list_is_empty(&tunnels->queue))
		settle(list_first(&tunnels->queue, struct shipment, node), PASSING_REFUSED);
	while (!list_is_empty(&tunnels->sent))
		settle(list_first(&tunnels->sent, struct shipment, node), PASSING_UNANSWERED);
}

static void on_answer_late(struct timer *timer)
{
	struct tunnels *tunnels = container_of(timer, struct tunnels, answer_timer);

	LOG(tunnels->log, LOG_WARN, "the process that serves does not take tunnels, they stay here",
		LOG_U64("waited_ms", answer_wait_ms),
		LOG_CSTR("cure", "they finish within shutdown_timeout; look at that process"));
	give_no_more(tunnels);
}

static void await_answer(struct tunnels *tunnels)
{
	bool is_awaited = !list_is_empty(&tunnels->queue) || !list_is_empty(&tunnels->sent);

	if (is_awaited && tunnels->giving.is_open)
		loop_timer_set(tunnels->loop, &tunnels->answer_timer,
			loop_now_ms(tunnels->loop) + answer_wait_ms);
	else
		loop_timer_cancel(tunnels->loop, &tunnels->answer_timer);
}

static int send_text(const struct end *end, enum tunnels_message kind, const struct text *text,
	struct progress *progress)
{
	while (progress->at < text->len) {
		size_t len = MIN(text->len - progress->at, (size_t)CHANNEL_TEXT_MAX);
		int error =
			channel_send(end->sock.fd, (char)kind, text->data + progress->at, len, -1);

		if (error)
			return error;
		progress->at += len;
	}
	return 0;
}

static int send_part(const struct end *end, struct progress *progress, const struct parcel *parcel)
{
	char name[48];

	switch ((enum part)progress->part) {
	case PART_WORDS:
		return send_text(end, TUNNELS_WORDS, &parcel->words, progress);
	case PART_UP:
		return send_text(end, TUNNELS_UP, &parcel->up, progress);
	case PART_DOWN:
		return send_text(end, TUNNELS_DOWN, &parcel->down, progress);
	case PART_CLIENT:
		return channel_send(end->sock.fd, TUNNELS_CLIENT, "", 0, parcel->client);
	case PART_BACKEND:
		return channel_send(end->sock.fd, TUNNELS_BACKEND, "", 0, parcel->backend);
	case PART_CLAIM:
		return channel_send(end->sock.fd, TUNNELS_CLAIM, "", 0, parcel->claim);
	case PART_WHOLE:
		snprintf(name, sizeof(name), "%u %llu", parcel->worker,
			(unsigned long long)parcel->number);
		return channel_send(end->sock.fd, TUNNELS_WHOLE, name, strlen(name), -1);
	case PART_COUNT:
		break;
	}
	return 0;
}

static int send_parcel(struct tunnels *tunnels, const struct parcel *parcel)
{
	struct progress *progress = &tunnels->progress;

	for (; progress->part < PART_COUNT; progress->part++) {
		int error = send_part(&tunnels->giving, progress, parcel);

		if (error)
			return error;
		progress->at = 0;
	}
	*progress = (struct progress){0};
	return 0;
}

static void tell_through(struct tunnels *tunnels)
{
	struct end *end = &tunnels->giving;
	int error;

	if (!tunnels->owes_through || !end->is_open || op_is_out(&end->out))
		return;
	error = channel_send(end->sock.fd, TUNNELS_THROUGH, "", 0, -1);
	if (error == -EAGAIN)
		loop_ready(tunnels->loop, &end->sock, &end->out, LOOP_OUT);
	else
		tunnels->owes_through = false;
}

static void send_queue(struct tunnels *tunnels)
{
	if (op_is_out(&tunnels->giving.out))
		return;
	while (tunnels->giving.is_open && !list_is_empty(&tunnels->queue)) {
		struct shipment *first = list_first(&tunnels->queue, struct shipment, node);
		int error = send_parcel(tunnels, first->parcel);

		if (error == -EAGAIN) {
			loop_ready(tunnels->loop, &tunnels->giving.sock, &tunnels->giving.out,
				LOOP_OUT);
			return;
		}
		if (error) {
			give_no_more(tunnels);
			return;
		}
		list_remove(&first->node);
		list_push_back(&tunnels->sent, &first->node);
	}
}

static void on_room(struct op *op)
{
	struct end *end = container_of(op, struct end, out);

	if (!end->is_open) {
		end_finish(end);
		return;
	}
	send_queue(end->tunnels);
	tell_through(end->tunnels);
}

// From a worker.
static void on_parcel(struct message *message)
{
	struct parcel *parcel = container_of(message, struct parcel, message);
	struct tunnels *tunnels = parcel->owner;
	struct shipment *shipment = mem_alloc(sizeof(*shipment));

	*shipment = (struct shipment){.tunnels = tunnels, .parcel = parcel};
	list_init(&shipment->node);
	list_push_back(&tunnels->queue, &shipment->node);
	if (!tunnels->giving.is_open) {
		settle(shipment, PASSING_REFUSED);
		return;
	}
	if (!timer_is_set(&tunnels->answer_timer))
		await_answer(tunnels);
	send_queue(tunnels);
}

static void say_moved(struct tunnels *tunnels)
{
	if (tunnels->given + tunnels->kept == tunnels->said)
		return;
	tunnels->said = tunnels->given + tunnels->kept;
	LOG(tunnels->log, LOG_NOTICE, "tunnels went over to the process that serves",
		LOG_U64("given", tunnels->given), LOG_U64("kept", tunnels->kept));
}

// Of one worker. More may go later, as requests become tunnels.
static void on_through(struct message *message)
{
	struct tunnels *tunnels = container_of(message, struct begin, through)->tunnels;

	tunnels->calls--;
	if (++tunnels->workers_through < tunnels->workers->count)
		return;
	tunnels->is_through = tunnels->owes_through = true;
	say_moved(tunnels);
	tell_through(tunnels);
}

static void run_begin(struct worker_call *call, struct proxy *proxy)
{
	const struct worker *worker = container_of(proxy, struct worker, proxy);
	struct begin *begin = container_of(call, struct begin, call);
	struct tunnels *tunnels = begin->tunnels;
	struct passing_sink sink = {.loop = tunnels->loop,
		.deliver = on_parcel,
		.owner = tunnels,
		.is_expecting = &worker->is_expectant,
		.through = &begin->through};

	passing_begin(proxy, &sink);
}

static void on_begun(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);

	struct begin *begin = container_of(call, struct begin, call);

	begin->tunnels->calls--;
	if (call->gone) // it has none
		on_through(&begin->through);
}

static void begin(struct tunnels *tunnels)
{
	if (tunnels->begins || tunnels->is_stopped)
		return;
	tunnels->begins = mem_alloc(sizeof(*tunnels->begins) * tunnels->workers->count);
	for (u32 i = 0; i < tunnels->workers->count; i++) {
		struct begin *one = &tunnels->begins[i];

		one->tunnels = tunnels;
		one->call = (struct worker_call){
			.run = run_begin, .asker = tunnels->loop, .answered = on_begun};
		one->through = (struct message){.deliver = on_through};
		tunnels->calls += 2; // of on_begun and on_through
		worker_call(&tunnels->workers->all[i], &one->call);
	}
}

static bool knows_ours(struct str versions)
{
	while (versions.len) {
		u64 version;

		if (str_to_u64(str_cut(&versions, ' '), UINT32_MAX, &version) == 0 &&
			version == PARCEL_VERSION)
			return true;
	}
	return false;
}

static struct shipment *find_sent(struct tunnels *tunnels, u64 worker, u64 number)
{
	list_for_each (node, &tunnels->sent) {
		struct shipment *shipment = list_entry(node, struct shipment, node);

		if (shipment->parcel->worker == worker && shipment->parcel->number == number)
			return shipment;
	}
	return NULL;
}

static void hear_verdict(struct tunnels *tunnels, struct str text, bool taken)
{
	struct shipment *shipment;
	u64 worker, number;

	if (!read_name(&text, &worker, &number))
		return;
	shipment = find_sent(tunnels, worker, number);
	if (!shipment)
		return;
	if (!taken)
		LOG(tunnels->log, LOG_INFO, "a tunnel stays with this process",
			LOG_STR("why", text));
	settle(shipment, taken ? PASSING_TAKEN : PASSING_REFUSED);
	await_answer(tunnels);
}

static void on_answer(struct op *op)
{
	struct end *end = container_of(op, struct end, in);
	struct tunnels *tunnels = end->tunnels;
	struct channel_message message;
	int got = 0;

	while (end->is_open && (got = channel_receive(end->sock.fd, &message)) > 0) {
		struct str text = str_make(message.text, message.len);

		if (message.fd >= 0)
			close(message.fd);
		if (message.kind == TUNNELS_KNOWS && knows_ours(text))
			begin(tunnels);
		else if (message.kind == TUNNELS_TAKEN || message.kind == TUNNELS_REFUSED)
			hear_verdict(tunnels, text, message.kind == TUNNELS_TAKEN);
	}
	if (!end->is_open)
		end_finish(end);
	else if (got == -EAGAIN)
		end_hear(end);
	else
		give_no_more(tunnels);
}

void tunnels_give(struct tunnels *tunnels, int fd)
{
	if (tunnels->giving.is_open || tunnels->begins || tunnels->is_stopped)
		close(fd);
	else
		end_open(&tunnels->giving, tunnels, fd, on_answer, on_room);
}

// ---- Taking -------------------------------------------------------------------------------------

static void send_answers(struct tunnels *tunnels)
{
	struct end *end = &tunnels->taking;

	while (!list_is_empty(&tunnels->answers) && !op_is_out(&end->out)) {
		struct shipment *first = list_first(&tunnels->answers, struct shipment, node);
		const struct parcel *parcel = first->parcel;
		char text[160];
		int error = 0;

		snprintf(text, sizeof(text), "%u %llu %s", parcel->worker,
			(unsigned long long)parcel->number, first->refused ? first->refused : "");
		if (end->is_open)
			error = channel_send(end->sock.fd,
				first->refused ? TUNNELS_REFUSED : TUNNELS_TAKEN, text,
				strlen(text), -1);
		if (error == -EAGAIN) {
			loop_ready(tunnels->loop, &end->sock, &end->out, LOOP_OUT);
			return;
		}
		shipment_free(first);
	}
}

static void on_room_for_answers(struct op *op)
{
	struct end *end = container_of(op, struct end, out);

	if (!end->is_open)
		end_finish(end);
	send_answers(end->tunnels);
}

static void run_take(struct worker_call *call, struct proxy *proxy)
{
	struct shipment *shipment = container_of(call, struct shipment, call);

	shipment->refused = passing_take(proxy, shipment->parcel);
}

static void on_tried(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);
	struct shipment *shipment = container_of(call, struct shipment, call);
	struct tunnels *tunnels = shipment->tunnels;

	tunnels->calls--;
	if (call->gone)
		shipment->refused = "it is ending";
	if (shipment->refused)
		tunnels->refused++;
	else
		tunnels->taken++;
	list_push_back(&tunnels->answers, &shipment->node);
	send_answers(tunnels);
}

static struct parcel *arriving(struct tunnels *tunnels)
{
	if (!tunnels->arriving)
		tunnels->arriving = parcel_new();
	return tunnels->arriving;
}

static void add(struct tunnels *tunnels, struct text *to, size_t bytes_max,
	const struct channel_message *message)
{
	if (to->len + message->len > bytes_max)
		tunnels->is_spoilt = true;
	else
		text_add(to, str_make(message->text, message->len));
}

static void take_fd(int *at, struct channel_message *message)
{
	if (*at >= 0)
		close(*at);
	*at = message->fd;
	message->fd = -1;
}

static void take_whole(struct tunnels *tunnels, struct str name)
{
	struct workers *workers = tunnels->workers;
	struct parcel *parcel = tunnels->arriving;
	struct shipment *shipment;
	u64 worker, number;

	tunnels->arriving = NULL;
	if (!read_name(&name, &worker, &number)) {
		parcel_free(parcel);
		return;
	}
	parcel->worker = (u32)worker;
	parcel->number = number;
	shipment = mem_alloc(sizeof(*shipment));
	*shipment = (struct shipment){.tunnels = tunnels, .parcel = parcel};
	list_init(&shipment->node);
	if (tunnels->is_spoilt) {
		tunnels->is_spoilt = false;
		shipment->refused = "it is too large";
		list_push_back(&tunnels->answers, &shipment->node);
		send_answers(tunnels);
		return;
	}
	tunnels->calls++;
	shipment->call =
		(struct worker_call){.run = run_take, .asker = tunnels->loop, .answered = on_tried};
	worker_call(&workers->all[tunnels->next_worker++ % workers->count], &shipment->call);
}

// Whoever gives may not have begun when this process is told to leave.
static void expect(struct tunnels *tunnels, bool is_expecting)
{
	tunnels->is_expecting = is_expecting;
	for (u32 i = 0; i < tunnels->workers->count; i++)
		atomic_store(&tunnels->workers->all[i].is_expectant, is_expecting);
}

static void take_no_more(struct tunnels *tunnels)
{
	end_close(&tunnels->taking);
	parcel_free(tunnels->arriving);
	tunnels->arriving = NULL;
	expect(tunnels, false);
}

static void take_message(struct tunnels *tunnels, struct channel_message *message)
{
	struct parcel *parcel = arriving(tunnels);

	if (!parcel) {
		take_no_more(tunnels); // no memory: the rest stays where it is
		return;
	}
	switch (message->kind) {
	case TUNNELS_WORDS:
		add(tunnels, &parcel->words, PARCEL_WORDS_MAX, message);
		break;
	case TUNNELS_UP:
		add(tunnels, &parcel->up, PARCEL_BYTES_MAX, message);
		break;
	case TUNNELS_DOWN:
		add(tunnels, &parcel->down, PARCEL_BYTES_MAX, message);
		break;
	case TUNNELS_CLIENT:
		take_fd(&parcel->client, message);
		break;
	case TUNNELS_BACKEND:
		take_fd(&parcel->backend, message);
		break;
	case TUNNELS_CLAIM:
		take_fd(&parcel->claim, message);
		break;
	case TUNNELS_WHOLE:
		take_whole(tunnels, str_make(message->text, message->len));
		break;
	case TUNNELS_THROUGH:
		expect(tunnels, false);
		break;
	}
}

static void on_piece(struct op *op)
{
	struct end *end = container_of(op, struct end, in);
	struct channel_message message;
	int got = 0;

	while (end->is_open && (got = channel_receive(end->sock.fd, &message)) > 0) {
		take_message(end->tunnels, &message);
		if (message.fd >= 0)
			close(message.fd);
	}
	if (!end->is_open)
		end_finish(end);
	else if (got == -EAGAIN)
		end_hear(end);
	else
		take_no_more(end->tunnels);
}

void tunnels_take(struct tunnels *tunnels, int fd)
{
	char text[16];

	if (tunnels->taking.is_open || tunnels->taking.sock.fd >= 0 || tunnels->is_stopped) {
		close(fd);
		return;
	}
	end_open(&tunnels->taking, tunnels, fd, on_piece, on_room_for_answers);
	expect(tunnels, true);
	snprintf(text, sizeof(text), "%d", PARCEL_VERSION);
	if (channel_send(tunnels->taking.sock.fd, TUNNELS_KNOWS, text, strlen(text), -1) != 0)
		take_no_more(tunnels);
}

// ---- Life ---------------------------------------------------------------------------------------

struct tunnels *tunnels_new(struct loop *loop, struct log *log, struct workers *workers)
{
	struct tunnels *tunnels = mem_alloc(sizeof(*tunnels));

	tunnels->loop = loop;
	tunnels->log = log;
	tunnels->workers = workers;
	tunnels->giving.sock.fd = tunnels->taking.sock.fd = -1;
	timer_init(&tunnels->answer_timer, on_answer_late);
	list_init(&tunnels->queue);
	list_init(&tunnels->sent);
	list_init(&tunnels->answers);
	return tunnels;
}

bool tunnels_is_moving(const struct tunnels *tunnels)
{
	return (tunnels->giving.is_open && !tunnels->is_through) || tunnels->is_expecting;
}

void tunnels_refuse(struct tunnels *tunnels)
{
	take_no_more(tunnels);
}

void tunnels_stop(struct tunnels *tunnels)
{
	tunnels->is_stopped = true;
	give_no_more(tunnels);
	take_no_more(tunnels);
	say_moved(tunnels);
}

bool tunnels_is_idle(const struct tunnels *tunnels)
{
	return tunnels->calls == 0 && tunnels->giving.sock.fd < 0 && tunnels->taking.sock.fd < 0;
}

void tunnels_free(struct tunnels *tunnels)
{
	if (!tunnels)
		return;
	send_answers(tunnels); // nobody hears them any more
	mem_free(tunnels->begins);
	mem_free(tunnels);
}
