// SPDX-License-Identifier: Apache-2.0
#include "admin/admin.h"

#include <errno.h>

#include "admin/admin_inside.h"
#include "admin/looker.h"
#include "admin/otlp.h"
#include "admin/stream.h"
#include "base/mem.h"
#include "control/thread.h"
#include "control/logger.h"

enum { large_blocks_max = 1024, small_blocks_max = 4096 };

static const struct admin_route known_routes[] = {
#define ROUTE(verb, text, least, does, handler, tag, what) \
	{.method = HTTP_##verb,                            \
		.role = ADMIN_##least,                     \
		.changes = does,                           \
		.path = text,                              \
		.handle = handler},
#include "admin/routes.def"
#undef ROUTE
};

// ---- Another configuration ----------------------------------------------------------------------

struct adoption {
	struct message message;
	struct admin *admin;
	const struct snapshot *snapshot;
};

static void on_adoption(struct message *message)
{
	struct adoption *adoption = container_of(message, struct adoption, message);
	struct admin *admin = adoption->admin;
	const struct snapshot *before = admin->face.snapshot;

	admin->face.snapshot = adoption->snapshot;
	admin->face.conf = adoption->snapshot->conf;
	figures_adopt(admin->figures, before, adoption->snapshot);
	admin->state->asked_ms = 0; // what is known is of the one before
	mem_free(adoption);
}

static void adopt(void *owner, const struct snapshot *snapshot)
{
	struct admin *admin = owner;
	struct adoption *adoption;

	if (!admin->started || admin->ended)
		return;
	adoption = mem_alloc(sizeof(*adoption));
	*adoption = (struct adoption){
		.message = {.deliver = on_adoption}, .admin = admin, .snapshot = snapshot};
	loop_post(admin->loop, &adoption->message);
}

struct leaving {
	struct message message;
	struct admin *admin;
	struct list node;
	struct message *left;
	u64 *marks; // of the rings of spans
};

static void let_go(struct admin *admin, struct leaving *leaving)
{
	list_remove(&leaving->node);
	loop_post(admin->face.loop, leaving->left);
	mem_free(leaving->marks);
	mem_free(leaving);
}

// The spans of requests that are over are told by now.
static void let_go_of_told(struct admin *admin)
{
	list_for_each_safe (node, &admin->leaving) {
		struct leaving *leaving = list_entry(node, struct leaving, node);

		if (otlp_has_passed(admin->otlp, leaving->marks))
			let_go(admin, leaving);
	}
}

// No span is told any more.
static void let_go_of_all(struct admin *admin)
{
	list_for_each_safe (node, &admin->leaving)
		let_go(admin, list_entry(node, struct leaving, node));
}

static void on_leaving(struct message *message)
{
	struct leaving *leaving = container_of(message, struct leaving, message);
	struct admin *admin = leaving->admin;

	if (!admin->otlp) {
		loop_post(admin->face.loop, leaving->left);
		mem_free(leaving);
		return;
	}
	leaving->marks = mem_alloc(sizeof(u64) * admin->face.workers->count);
	otlp_mark(admin->otlp, leaving->marks);
	list_push_back(&admin->leaving, &leaving->node);
	let_go_of_told(admin);
}

static void leave(void *owner, const struct snapshot *snapshot, struct message *left)
{
	struct admin *admin = owner;
	struct leaving *leaving;

	(void)snapshot;
	if (!admin->started) {
		left->deliver(left);
		return;
	}
	if (admin->ended) // it hears nothing more, and may still use it
		return;
	leaving = mem_alloc(sizeof(*leaving));
	*leaving =
		(struct leaving){.message = {.deliver = on_leaving}, .admin = admin, .left = left};
	list_init(&leaving->node);
	loop_post(admin->loop, &leaving->message);
}

static void on_second(struct admin *admin)
{
	let_go_of_told(admin);
	stream_hub_second(admin->hub);
	looker_second(admin->looker);
}

// ---- The server ---------------------------------------------------------------------------------

static enum admin_role role_without_token(const struct conf_admin *conf)
{
	switch (conf->without_token) {
	case CONF_WITHOUT_TOKEN_NOTHING:
		return ADMIN_NOBODY;
	case CONF_WITHOUT_TOKEN_READ:
		return ADMIN_READER;
	case CONF_WITHOUT_TOKEN_OPERATE:
		return ADMIN_OPERATOR;
	case CONF_WITHOUT_TOKEN_AUTO:
		break;
	}
	return conf->token_count ? ADMIN_NOBODY : ADMIN_READER;
}

static void make_tokens(struct admin *admin, const struct conf_admin *conf)
{
	admin->tokens = mem_alloc(sizeof(struct admin_token) * MAX(conf->token_count, 1));
	for (u32 i = 0; i < conf->token_count; i++)
		admin->tokens[i] = (struct admin_token){.name = conf->tokens[i].name,
			.secret = conf->tokens[i].secret,
			.role = conf->tokens[i].role == CONF_ADMIN_OPERATE ? ADMIN_OPERATOR
									   : ADMIN_READER};
}

// The known ones, and that of metrics, whose path is configured.
static u32 make_routes(struct admin *admin)
{
	const struct conf_metrics *metrics = &admin->face.conf->metrics;
	u32 count = 0;

	admin->routes = mem_alloc(sizeof(known_routes) + sizeof(struct admin_route));
	if (metrics->enabled)
		admin->routes[count++] = (struct admin_route){.method = HTTP_GET,
			.role = ADMIN_READER,
			.path = metrics->path.ptr,
			.handle = api_metrics};
	memcpy(&admin->routes[count], known_routes, sizeof(known_routes));
	return count + (u32)ARRAY_LEN(known_routes);
}

static void serve(struct admin *admin)
{
	const struct conf *conf = admin->face.conf;
	u32 route_count = make_routes(admin);
	struct admin_server_config config = {.loop = admin->loop,
		.log = admin->log,
		.route_count = route_count,
		.routes = admin->routes,
		.owner = admin,
		.tokens = admin->tokens,
		.token_count = conf->admin.token_count,
		.hosts = conf->admin.hosts,
		.host_count = conf->admin.host_count,
		.without_token = (u8)role_without_token(&conf->admin)};

	admin->server = admin_server_new(&config);
	for (u32 i = 0; i < admin->doors.count; i++) {
		admin_server_listen(admin->server, admin->doors.all[i].fd,
			&admin->doors.all[i].address,
			admin->doors.all[i].only_metrics ? conf->metrics.path.ptr : NULL);
		admin->doors.all[i].fd = -1;
	}
}

// ---- The thread ---------------------------------------------------------------------------------

static bool is_idle(const struct admin *admin)
{
	return admin_server_is_idle(admin->server) && admin->asks_out == 0 &&
	       (!admin->otlp || otlp_is_idle(admin->otlp));
}

static void *thread_main(void *arg)
{
	struct admin *admin = arg;

	while (!admin->stopping || !is_idle(admin))
		loop_turn(admin->loop, UINT64_MAX);
	loop_turn(admin->loop, 0); // what was put off to the end of a turn
	otlp_free(admin->otlp);
	let_go_of_all(admin);
	admin_server_free(admin->server);
	loop_post(admin->face.loop, admin->ended);
	return NULL;
}

static void on_stop(struct message *message)
{
	struct admin *admin = container_of(message, struct admin, stop_message);

	admin->stopping = true;
	figures_stop(admin->figures);
	stream_hub_stop(admin->hub);
	if (admin->otlp)
		otlp_stop(admin->otlp);
	admin_server_stop(admin->server);
}

static int open(void *owner, const struct conf *conf, struct log *log, struct handover *handover)
{
	struct admin *admin = owner;

	return doors_open(&admin->doors, conf, log, handover);
}

struct start {
	struct admin *admin;
	sem_t done;
	int error;
};

static void start_tracing(struct admin *admin)
{
	const struct control_face *face = &admin->face;
	struct otlp_config config = {.tracing = &face->conf->tracing, .seed = face->seed};

	if (face->spans)
		admin->otlp = otlp_new(admin->loop, &config, face->spans, face->workers->count,
			admin->log, &admin->metrics);
}

// A loop belongs to the thread that makes it.
static void *start_main(void *arg)
{
	struct start *start = arg;
	struct admin *admin = start->admin;
	struct loop_limits limits = {
		.large_blocks_max = large_blocks_max, .small_blocks_max = small_blocks_max};
	const char *why;
	int error;

	thread_give_way();
	error = loop_new(LOOP_EPOLL, &limits, &admin->loop, &why);

	start->error = error;
	if (!error) {
		admin->log = logger_log(admin->face.logger, &admin->loop->wall_ms);
		admin->state = state_new(admin);
		admin->figures = figures_new(admin);
		admin->hub = stream_hub_new(admin);
		admin->looker = looker_new(admin);
		figures_on_second(admin->figures, on_second);
		start_tracing(admin);
		serve(admin);
	}
	sem_post(&start->done); // from here on `start` may be gone
	return error ? NULL : thread_main(admin);
}

static int start(void *owner, const struct control_face *face)
{
	struct admin *admin = owner;
	struct start start = {.admin = admin};
	int error;

	if (admin->doors.count == 0 && !face->spans)
		return 0;
	admin->face = *face;
	list_init(&admin->leaving);
	admin->stop_message.deliver = on_stop;
	make_tokens(admin, &face->conf->admin);
	sem_init(&start.done, 0, 0);
	error = thread_start(&admin->thread, start_main, &start);
	if (error)
		return error;
	while (sem_wait(&start.done) != 0)
		;
	sem_destroy(&start.done);
	if (start.error) {
		pthread_join(admin->thread, NULL);
		return start.error;
	}
	(void)pthread_setname_np(admin->thread, "weir/admin");
	admin->started = true;
	return 0;
}

static void stop(void *owner, struct message *ended)
{
	struct admin *admin = owner;

	admin->ended = ended;
	if (admin->started)
		loop_post(admin->loop, &admin->stop_message);
	else
		ended->deliver(ended);
}

static void done(void *owner)
{
	struct admin *admin = owner;

	if (admin->started) {
		pthread_join(admin->thread, NULL);
		// Not by its own thread: whoever told it to stop may still be about to wake it.
		loop_free(admin->loop);
		state_free(admin->state);
		figures_free(admin->figures);
		stream_hub_free(admin->hub);
		looker_free(admin->looker);
		mem_free(admin->routes);
	}
	admin->started = false;
	mem_free(admin->tokens);
	admin->tokens = NULL;
	doors_close(&admin->doors);
}

int admin_run(const struct conf *conf, struct arena *arena, const struct control_options *options)
{
	struct admin *admin = mem_alloc(sizeof(*admin));
	struct control_guest guest = {.owner = admin,
		.open = open,
		.start = start,
		.adopt = adopt,
		.leave = leave,
		.stop = stop,
		.done = done};
	struct control_options with_guest = *options;
	int code;

	with_guest.guest = &guest;
	code = control_run(conf, arena, &with_guest);
	mem_free(admin);
	return code;
}
