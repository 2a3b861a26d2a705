// SPDX-License-Identifier: Apache-2.0
// What the benchmark programs share: options, addresses, sockets, a clock.
//
// These programs stand beside weir, not inside it: they include nothing from src/, so that a
// fault or an improvement there cannot move the floor it is measured against. They end with a
// message on the first thing that goes wrong; a benchmark that limps gives wrong figures.

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

// Prints "program: text: strerror(errno)" (the last part only if errno is set) and exits with 1.
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

// "127.0.0.1:8080". Takes IPv4 only; ends the program on anything else.
struct sockaddr_in bench_address(const char *text);

// A whole number within [min, max]; ends the program otherwise, naming the option.
uint64_t bench_number(const char *option, const char *text, uint64_t min, uint64_t max);

// A listening, non-blocking socket. What it accepts inherits TCP_NODELAY. 0.0.0.0 stands for all
// addresses of the loopback and for no others.
int bench_listen(const struct sockaddr_in *at);

// A non-blocking, TCP_NODELAY socket, ready to be connected. Never fails (it ends the program).
int bench_socket(void);

// Starts to connect: true if the connection exists at once, false if EPOLLOUT will tell. Ends the
// program when it is refused at once.
bool bench_connect(int fd, const struct sockaddr_in *to);

// Monotonic nanoseconds.
uint64_t bench_now_ns(void);

// Raises the limit of open files to the hard one and ignores SIGPIPE.
void bench_prepare(void);

// malloc that ends the program instead of returning NULL.
void *bench_alloc(size_t size);
