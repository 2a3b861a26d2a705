// SPDX-License-Identifier: Apache-2.0
#include "cli/top_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/top_view.h"

enum {
	rows_default = 24,
	columns_default = 80,
	size_max = 1000,
	leave_wait_ms = 500, // for a terminal that takes nothing
};

// The first byte ends an escape sequence that was sent in part only.
static const char enter_codes[] = "\033[?1049h\033[0m\033[2J\033[H\033[?25l";
static const char leave_codes[] = "\030\033[0m\033[?25h\033[?1049l";

// ---- When the process dies ----------------------------------------------------------------------

// A handler of a signal has no other way to know what to put right.
static volatile sig_atomic_t doomed_fd = -1;
static struct termios doomed_before;

// Only what signal-safety(7) allows.
static void on_death(int number)
{
	int fd = doomed_fd;

	if (fd >= 0) {
		doomed_fd = -1;
		(void)!write(fd, leave_codes, sizeof(leave_codes) - 1);
		tcsetattr(fd, TCSANOW, &doomed_before);
	}
	signal(number, SIG_DFL);
	raise(number);
}

static void prepare_for_death(const struct top_terminal *terminal)
{
	static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	struct sigaction action = {.sa_handler = on_death};

	sigemptyset(&action.sa_mask);
	doomed_before = terminal->before;
	doomed_fd = terminal->fd;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	sigaction(deadly[0], &action, NULL); // the others are the sanitizer's
#else
	for (u32 i = 0; i < ARRAY_LEN(deadly); i++)
		sigaction(deadly[i], &action, NULL);
#endif
}

// ---- Beginning and end --------------------------------------------------------------------------

// The same terminal, opened anew: what is set for this descriptor (not to wait) is not set for the
// shell's. Where that is refused, its own has to do.
static int open_again(void)
{
	int fd = open("/proc/self/fd/1", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int top_terminal_open(struct top_terminal *terminal)
{
	int fd = open_again();

	if (fd < 0)
		return fd;
	*terminal = (struct top_terminal){.fd = fd};
	if (tcgetattr(fd, &terminal->before) != 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	top_terminal_measure(terminal);
	return 0;
}

void top_terminal_close(struct top_terminal *terminal)
{
	top_terminal_leave(terminal);
	close(terminal->fd);
	text_done(&terminal->shown);
	text_done(&terminal->out);
}

void top_terminal_measure(struct top_terminal *terminal)
{
	struct winsize size = {0};

	(void)ioctl(terminal->fd, TIOCGWINSZ, &size);
	terminal->rows = size.ws_row ? MIN(size.ws_row, (u32)size_max) : (u32)rows_default;
	terminal->columns = size.ws_col ? MIN(size.ws_col, (u32)size_max) : (u32)columns_default;
	text_clear(&terminal->shown);
}

// Signals of keys stay: Ctrl-C and Ctrl-Z do what they do everywhere.
void top_terminal_enter(struct top_terminal *terminal)
{
	struct termios raw = terminal->before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
	raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL | INLCR | ISTRIP);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	prepare_for_death(terminal);
	tcsetattr(terminal->fd, TCSADRAIN, &raw);
	terminal->is_entered = true;
	terminal->key_bytes = 0;
	text_clear(&terminal->shown);
	text_clear(&terminal->out);
	terminal->sent = 0;
	text_add(&terminal->out, STR(enter_codes));
	(void)top_terminal_flush(terminal);
}

static void write_all(int fd, struct str bytes)
{
	while (bytes.len) {
		ssize_t len = write(fd, bytes.ptr, bytes.len);
		struct pollfd room = {.fd = fd, .events = POLLOUT};

		if (len < 0 && errno == EAGAIN && poll(&room, 1, leave_wait_ms) <= 0)
			return;
		if (len < 0 && errno != EAGAIN && errno != EINTR)
			return;
		if (len > 0)
			bytes = str_make(bytes.ptr + len, bytes.len - (size_t)len);
	}
}

void top_terminal_leave(struct top_terminal *terminal)
{
	if (!terminal->is_entered)
		return;
	terminal->is_entered = false;
	text_clear(&terminal->out);
	terminal->sent = 0;
	write_all(terminal->fd, STR(leave_codes));
	tcsetattr(terminal->fd, TCSANOW, &terminal->before);
	doomed_fd = -1;
}

// ---- Frames -------------------------------------------------------------------------------------

bool top_terminal_flush(struct top_terminal *terminal)
{
	while (terminal->sent < terminal->out.len) {
		ssize_t len = write(terminal->fd, terminal->out.data + terminal->sent,
			terminal->out.len - terminal->sent);

		if (len > 0)
			terminal->sent += (size_t)len;
		else if (len < 0 && errno == EAGAIN)
			return true;
		else if (len < 0 && errno != EINTR)
			break; // it is gone; reading tells
	}
	text_clear(&terminal->out);
	terminal->sent = 0;
	return false;
}

void top_terminal_show(struct top_terminal *terminal, struct str frame)
{
	struct str before = terminal->shown.len
				    ? str_make(terminal->shown.data, terminal->shown.len)
				    : STR_EMPTY;
	struct str rest = frame;

	if (top_terminal_flush(terminal))
		return;
	for (u32 row = 1; rest.len && row <= terminal->rows; row++) {
		bool was_shown = before.len > 0;
		struct str line = str_cut(&rest, '\n'), old = str_cut(&before, '\n');

		if (was_shown && str_eq(line, old))
			continue;
		text_printf(&terminal->out, "\033[%u;1H", row);
		text_add(&terminal->out, line);
		text_add(&terminal->out, STR("\033[K"));
	}
	text_clear(&terminal->shown);
	text_add(&terminal->shown, frame);
	(void)top_terminal_flush(terminal);
}

// ---- Keys ---------------------------------------------------------------------------------------

struct sequence {
	const char *bytes; // behind the escape
	u32 key;
};

static const struct sequence sequences[] = {{"[A", TOP_KEY_UP}, {"[B", TOP_KEY_DOWN},
	{"OA", TOP_KEY_UP}, {"OB", TOP_KEY_DOWN}, {"[5~", TOP_KEY_PAGE_UP},
	{"[6~", TOP_KEY_PAGE_DOWN}, {"[H", TOP_KEY_HOME}, {"OH", TOP_KEY_HOME},
	{"[1~", TOP_KEY_HOME}, {"[7~", TOP_KEY_HOME}, {"[F", TOP_KEY_END}, {"OF", TOP_KEY_END},
	{"[4~", TOP_KEY_END}, {"[8~", TOP_KEY_END}};

// Where an escape sequence ends (ECMA-48): behind its final byte; 0: later.
static size_t sequence_length(struct str bytes)
{
	if (bytes.len < 2)
		return 0;
	if (bytes.ptr[1] == 'O')
		return bytes.len < 3 ? 0 : 3;
	if (bytes.ptr[1] != '[')
		return 1; // the escape key, and another one
	for (size_t i = 2; i < bytes.len; i++)
		if (bytes.ptr[i] >= 0x40 && bytes.ptr[i] <= 0x7e)
			return i + 1;
	return 0;
}

u32 top_key_decode(struct str bytes, size_t *ret_used)
{
	unsigned char first = (unsigned char)bytes.ptr[0];
	struct str rest;

	*ret_used = 1;
	if (first >= 0x80)
		return TOP_KEY_OTHER;
	if (first != TOP_KEY_ESCAPE)
		return first;
	*ret_used = sequence_length(bytes);
	if (*ret_used <= 1)
		return TOP_KEY_ESCAPE;
	rest = str_make(bytes.ptr + 1, *ret_used - 1);
	for (u32 i = 0; i < ARRAY_LEN(sequences); i++)
		if (str_eq(rest, str_from(sequences[i].bytes)))
			return sequences[i].key;
	return TOP_KEY_OTHER;
}

int top_terminal_read(struct top_terminal *terminal, u32 ret_keys[TOP_KEYS_MAX], bool *ret_waits)
{
	ssize_t len = read(terminal->fd, terminal->keys + terminal->key_bytes,
		sizeof(terminal->keys) - terminal->key_bytes);
	struct str bytes;
	int count = 0;

	if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
		return -1;
	if (len > 0)
		terminal->key_bytes += (u32)len;
	bytes = str_make(terminal->keys, terminal->key_bytes);
	while (bytes.len) {
		size_t used;
		u32 key = top_key_decode(bytes, &used);

		if (used == 0 && bytes.len == sizeof(terminal->keys))
			used = bytes.len; // no key is that long
		if (used == 0)
			break;
		ret_keys[count++] = key;
		bytes = str_make(bytes.ptr + used, bytes.len - used);
	}
	memmove(terminal->keys, bytes.ptr, bytes.len);
	terminal->key_bytes = (u32)bytes.len;
	*ret_waits = bytes.len > 0;
	return count;
}

u32 top_terminal_end_key(struct top_terminal *terminal)
{
	u32 key = terminal->key_bytes == 1 ? (u32)TOP_KEY_ESCAPE : (u32)TOP_KEY_OTHER;

	terminal->key_bytes = 0;
	return key;
}
