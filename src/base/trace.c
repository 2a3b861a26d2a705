// SPDX-License-Identifier: Apache-2.0
#include "base/trace.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/log_text.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const struct {
	const char *name, *small, *id, *a, *b;
} events[TRACE_COUNT] = {
#define X(enum_name, text, small_label, id_label, a_label, b_label) \
	[TRACE_##enum_name] = {text, small_label, id_label, a_label, b_label},
#include "base/trace.def"
#undef X
};

static __thread struct trace_ring *thread_ring;

void trace_init(struct trace_ring *ring, const u64 *now_us)
{
	memset(ring, 0, sizeof(*ring));
	ring->now_us = now_us;
}

// ---- Printing -----------------------------------------------------------------------------------

// A line and the way out. Printing goes on as well as it can: what cannot be written is lost.
struct printer {
	int fd;
	char buffer[2048];
	struct log_text text;
};

static void printer_flush(struct printer *printer)
{
	const char *at = printer->buffer;

	while (at < printer->text.at) {
		ssize_t written = write(printer->fd, at, (size_t)(printer->text.at - at));

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			break;
		at += written;
	}
	log_text_init(&printer->text, printer->buffer, sizeof(printer->buffer));
}

static void printer_words(struct printer *printer, const char *words)
{
	log_text_bytes(&printer->text, words, strlen(words));
}

static void printer_hex(struct printer *printer, u64 value)
{
	int shift = 60;

	while (shift && !(value >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		log_text_char(&printer->text, "0123456789abcdef"[value >> shift & 15]);
}

static void printer_number(struct printer *printer, const char *label, u64 value)
{
	bool hex = *label == '#';

	if (!*label)
		return;
	log_text_char(&printer->text, ' ');
	printer_words(printer, label + hex);
	log_text_char(&printer->text, '=');
	if (hex)
		printer_hex(printer, value);
	else
		log_text_u64(&printer->text, value);
}

static void print_event(struct printer *printer, const struct trace_event *event, u64 newest_us)
{
	u64 ago_us = newest_us - event->time_us;

	LOG_TEXT_PUT(&printer->text, "trace: -");
	log_text_u64(&printer->text, ago_us / 1000);
	log_text_char(&printer->text, '.');
	log_text_digits(&printer->text, ago_us % 1000, 3);
	LOG_TEXT_PUT(&printer->text, "ms ");
	if (event->code < TRACE_COUNT) {
		printer_words(printer, events[event->code].name);
		printer_number(printer, events[event->code].id, event->id);
		printer_number(printer, events[event->code].small, event->small);
		printer_number(printer, events[event->code].a, event->a);
		printer_number(printer, events[event->code].b, event->b);
	} else {
		printer_number(printer, "code", event->code); // memory was overwritten
	}
	log_text_char(&printer->text, '\n');
	if (printer->text.end - printer->text.at < 256)
		printer_flush(printer);
}

void trace_print(const struct trace_ring *ring, int fd)
{
	u64 count = MIN(ring->next, TRACE_EVENTS), newest_us;
	struct printer printer = {.fd = fd};

	log_text_init(&printer.text, printer.buffer, sizeof(printer.buffer));
	LOG_TEXT_PUT(&printer.text, "trace: the last ");
	log_text_u64(&printer.text, count);
	LOG_TEXT_PUT(&printer.text, " of ");
	log_text_u64(&printer.text, ring->next);
	LOG_TEXT_PUT(&printer.text, " events of this thread\n");
	newest_us = count ? ring->events[(ring->next - 1) & (TRACE_EVENTS - 1)].time_us : 0;
	for (u64 i = ring->next - count; i < ring->next; i++)
		print_event(&printer, &ring->events[i & (TRACE_EVENTS - 1)], newest_us);
	printer_flush(&printer);
}

// ---- Dying --------------------------------------------------------------------------------------

static void crash_hook(void)
{
	struct trace_ring *ring = thread_ring;

	thread_ring = NULL; // at most once, also when a handler follows
	if (ring)
		trace_print(ring, STDERR_FILENO);
}

static void print_signal(int number, const siginfo_t *info)
{
	struct printer printer = {.fd = STDERR_FILENO};
	const char *name = sigabbrev_np(number);

	log_text_init(&printer.text, printer.buffer, sizeof(printer.buffer));
	LOG_TEXT_PUT(&printer.text, "weir: fatal signal SIG");
	printer_words(&printer, name ? name : "?");
	if (info->si_code > 0 && number != SIGABRT) {
		LOG_TEXT_PUT(&printer.text, " at address 0x");
		for (int shift = 60; shift >= 0; shift -= 4)
			log_text_char(&printer.text,
				"0123456789abcdef"[(uintptr_t)info->si_addr >> shift & 15]);
	}
	LOG_TEXT_PUT(
		&printer.text, ". This is a bug in weir; please report it with the lines below.\n");
	printer_flush(&printer);
}

// Only what signal-safety(7) allows. The signal is raised again with its default action, which
// takes effect when this handler returns.
static void on_fatal_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (thread_ring)
		print_signal(number, info);
	crash_hook();
	signal(number, SIG_DFL);
	raise(number);
}

void trace_attach_thread(struct trace_ring *ring)
{
	stack_t stack = {.ss_flags = SS_DISABLE};

	thread_ring = ring;
	if (SANITIZED)
		return; // the sanitizer has a stack of its own there, and would unmap ours
	if (ring)
		stack = (stack_t){.ss_sp = ring->crash_stack, .ss_size = sizeof(ring->crash_stack)};
	sigaltstack(&stack, NULL); // without it only stack overruns die in silence
}

void trace_install_crash_handlers(void)
{
	static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
	struct sigaction action = {
		.sa_sigaction = on_fatal_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < (SANITIZED ? 1 : ARRAY_LEN(deadly)); i++)
		sigaction(deadly[i], &action, NULL);
	base_set_crash_hook(crash_hook);
}
