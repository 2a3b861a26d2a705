// SPDX-License-Identifier: Apache-2.0
// seccomp: a list of system calls as a program for the kernel (seccomp(2)). Which number came is
// looked up once by the kernel for each that is always allowed, so the length costs nothing.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "control/confine_inside.h"

#if defined(__x86_64__)
#define ARCH		   AUDIT_ARCH_X86_64
#define RESULT_OF(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define ARCH		   AUDIT_ARCH_AARCH64
#define RESULT_OF(context) ((context)->uc_mcontext.regs[0])
#endif

static const u32 allowed[] = {
#define CALL(name) SYS_##name,
#if defined(__x86_64__)
#define CALL_X86(name) SYS_##name,
#else
#define CALL_X86(name)
#endif
#include "control/confine_calls.def"
};

#ifndef SYS_SECCOMP // of asm-generic/siginfo.h, which does not go with <signal.h>
#define SYS_SECCOMP 1
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif

const char *confine_calls_missing(void)
{
#if defined(IS_SANITIZED)
	return "sanitizers make calls of their own";
#elif !defined(ARCH)
	return "not built for this processor";
#else
	u32 action = SECCOMP_RET_TRAP;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0
		       ? NULL
		       : "the kernel or a container does not allow seccomp";
#endif
}

#if defined(ARCH)

enum { calls_max = 1024, head_len = 8, program_max = head_len + 2 * ARRAY_LEN(allowed) + 8 };

// ---- A call that is refused ---------------------------------------------------------------------

// It runs between any two instructions of any thread: no allocation, no log.
static void say(u32 number)
{
	static const char begin[] = "weir: system call ",
			  end[] = " was refused (runtime.confine)\n";
	char text[sizeof(begin) + sizeof(end) + 10];
	size_t len = sizeof(begin) - 1;
	char digits[10];
	u32 count = 0;

	memcpy(text, begin, len);
	do
		digits[count++] = (char)('0' + number % 10);
	while ((number /= 10) && count < sizeof(digits));
	while (count)
		text[len++] = digits[--count];
	memcpy(text + len, end, sizeof(end) - 1);
	len += sizeof(end) - 1;
	if (write(STDERR_FILENO, text, len) < 0)
		return; // nobody hears; the call fails all the same
}

static void on_refused(int signal_number, siginfo_t *info, void *data)
{
	static _Atomic(u8) told[calls_max];
	ucontext_t *context = data;
	u32 number = (u32)info->si_syscall;
	int saved = errno;

	(void)signal_number;
	if (info->si_code != SYS_SECCOMP)
		return;
	if (number >= calls_max || atomic_exchange(&told[number], 1) == 0)
		say(number);
	RESULT_OF(context) = (typeof(RESULT_OF(context)))(-EPERM);
	errno = saved;
}

// ---- The program --------------------------------------------------------------------------------

struct program {
	struct sock_filter all[program_max];
	u16 len;
};

static void add(struct program *program, struct sock_filter one)
{
	ASSERT(program->len < program_max);
	program->all[program->len++] = one;
}

static void add_load(struct program *program, size_t offset)
{
	add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (u32)offset));
}

static void add_return(struct program *program, u32 action)
{
	add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

// Unless the loaded number is this one, the next instruction is left out.
static void add_if(struct program *program, u32 number)
{
	add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
}

// Threads, and no processes. clone3 has its flags where a filter cannot see them: libraries go on
// with clone when they hear that there is none.
static void add_threads(struct program *program, u32 otherwise)
{
	add_if(program, SYS_clone3);
	add_return(program, SECCOMP_RET_ERRNO | ENOSYS);
	add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4));
	add_load(program, offsetof(struct seccomp_data, args[0]));
	add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1));
	add_return(program, SECCOMP_RET_ALLOW);
	add_return(program, otherwise);
}

int confine_calls(bool kills)
{
	u32 otherwise = kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_TRAP;
	struct program program = {.len = 0};
	struct sock_fprog whole = {.filter = program.all};
	struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};

	add_load(&program, offsetof(struct seccomp_data, arch));
	add(&program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	add_return(&program, SECCOMP_RET_KILL_PROCESS);
	add_load(&program, offsetof(struct seccomp_data, nr));
	for (u32 i = 0; i < ARRAY_LEN(allowed); i++) {
		add_if(&program, allowed[i]);
		add_return(&program, SECCOMP_RET_ALLOW);
	}
	add_threads(&program, otherwise);
	add_return(&program, otherwise);
	whole.len = program.len;
	if (sigaction(SIGSYS, &action, NULL) != 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole) == 0 ? 0 : -errno;
}

#else

int confine_calls(bool kills)
{
	(void)kills;
	return -ENOSYS;
}

#endif
