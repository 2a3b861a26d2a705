// SPDX-License-Identifier: Apache-2.0
// The alphabet: integer names, assertions, and the few macros every file may use.
//
// Three kinds of trouble have three forms. Our own bug is ASSERT: it stays on in production,
// prints the trace ring of the dying thread and aborts. The world (a peer, the kernel, a full disk)
// is a return value: 0 or a negative errno, marked must_check. The user is a struct err (err.h).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t i32;
typedef int64_t i64;

// A moment or a span in nanoseconds. Moments come from loop_now() and are monotonic.
typedef u64 nsec;
#define NSEC_PER_MS  1000000ull
#define NSEC_PER_SEC 1000000000ull

#define must_check __attribute__((warn_unused_result))
#define cold	   __attribute__((__cold__)) // out of the way of what is called often
// Small and on the path of every request: the compiler counts callers, and would stop with many.
#define inlined	    inline __attribute__((__always_inline__))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define printf_like(format_index, first_arg) \
	__attribute__((format(printf, format_index, first_arg)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CACHE_LINE   64

// The lesser and the greater of two, each of which is evaluated once. Their type is the one that C
// brings both to. They are no constant expressions.
#ifdef READ_BY_CPPCHECK // which cannot read them inside of initialisers
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#else
#define MIN(a, b)		     MIN_MAX(<, a, b, __COUNTER__)
#define MAX(a, b)		     MIN_MAX(>, a, b, __COUNTER__)
#define MIN_MAX(order, a, b, number) MIN_MAX_NAMED(order, a, b, number)
#define MIN_MAX_NAMED(order, a, b, number)                                                         \
	({                                                                                         \
		__typeof__(1 ? (a) : (b)) min_max_a##number = (a), min_max_b##number = (b);        \
                                                                                                   \
		min_max_a##number order min_max_b##number ? min_max_a##number : min_max_b##number; \
	})
#endif

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

// Zeroes a few hundred bytes, whose number is known when this is compiled, by plain stores. For
// more than 96 a bare memset becomes a string instruction, which takes its time to begin.
static inlined void zero_plain(void *at, size_t size)
{
	char *to = at;

	memset(to, 0, MIN(size, (size_t)64));
	if (size > 64)
		memset(to + 64, 0, MIN(size - 64, (size_t)64));
	if (size > 128)
		memset(to + 128, 0, MIN(size - 128, (size_t)64));
	if (size > 192)
		memset(to + 192, 0, size - 192);
}

// Dies with the place, the expression and whatever the crash hook prints.
_Noreturn void assert_failed(const char *expression, const char *file, int line);
#define ASSERT(expression) \
	(likely(expression) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))

// Called once by assert_failed before the process aborts; prints the trace ring. Must not allocate.
typedef void crash_hook_fn(void);
void base_set_crash_hook(crash_hook_fn *hook);
