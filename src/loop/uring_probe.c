// SPDX-License-Identifier: Apache-2.0
#include "loop/uring_probe.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { test_wait_ms = 1000 };

static const char *reason_of(int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		return "io_uring refused: operation not permitted (a sandbox, or the sysctl "
		       "kernel.io_uring_disabled)";
	case ENOSYS:
		return "io_uring refused: this kernel has none";
	case ENOMEM:
		return "io_uring refused: not enough locked memory (RLIMIT_MEMLOCK)";
	case EINVAL:
		return "io_uring refused: this kernel is older than 5.19";
	case EMFILE:
	case ENFILE:
		return "io_uring refused: no descriptor left";
	default:
		return "io_uring refused";
	}
}

// A multishot accept could give wrong descriptors on 6.6 and 6.7 (liburing issue 1062).
static bool accept_is_sound(void)
{
	struct utsname name;
	struct str release, major, minor;
	u64 a, b;

	if (uname(&name))
		return false;
	release = str_from(name.release);
	major = str_cut(&release, '.');
	minor = str_cut(&release, '.');
	for (size_t i = 0; i < minor.len; i++)
		if (!ascii_is_digit(minor.ptr[i]))
			minor.len = i;
	if (str_to_u64(major, 1000, &a) || str_to_u64(minor, 1000, &b))
		return false;
	return a != 6 || b < 6 || b > 7;
}

// 6.0 is the first kernel with a multishot receive and the first with SEND_ZC.
static bool has_multishot_recv(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool has = probe && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);

	io_uring_free_probe(probe);
	return has;
}

int uring_setup(struct io_uring *ring, u32 sq_entries, u32 cq_entries,
	struct uring_features *ret_features, const char **ret_why)
{
	// Both beyond the common flags: completions are worked off only where this thread asks for
	// them (6.1), or at least without interrupting it (5.19).
	static const u32 ladder[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	};
	int result = -EINVAL;

	for (size_t i = 0; i < ARRAY_LEN(ladder); i++) {
		struct io_uring_params params = {.flags = ladder[i] | IORING_SETUP_SUBMIT_ALL |
							  IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = cq_entries};

		result = io_uring_queue_init_params(sq_entries, ring, &params);
		if (result == 0 && !(params.features & IORING_FEAT_NODROP)) {
			io_uring_queue_exit(ring);
			result = -EINVAL;
		}
		if (result == 0) {
			// One lookup less per call; works without.
			int registered = io_uring_register_ring_fd(ring);

			(void)registered;
			ret_features->multishot_accept = accept_is_sound();
			ret_features->multishot_recv = has_multishot_recv(ring);
			return 0;
		}
		if (result != -EINVAL)
			break;
	}
	*ret_why = reason_of(-result);
	return result;
}

struct test_end {
	struct sock sock;
	struct op op;
	u32 heard;
	i32 result;
};

static void test_heard(struct op *op)
{
	struct test_end *end = container_of(op, struct test_end, op);

	end->heard++;
	end->result = op->result;
	if (op->result > 0)
		slice_drop(&op->received);
}

static bool test_recv(struct loop *loop, struct test_end *end, bool cancel)
{
	u64 until = loop_now_ms(loop) + test_wait_ms;

	end->heard = 0;
	loop_recv(loop, &end->sock, &end->op, 0);
	if (cancel) {
		loop_turn(loop, loop_now_ms(loop));
		loop_cancel(loop, &end->op);
	}
	while (!end->heard && loop_now_ms(loop) < until)
		loop_turn(loop, until);
	return end->heard == 1;
}

static const char *run_test(struct loop *loop, struct test_end *end, int peer)
{
	if (send(peer, "weir", 4, MSG_NOSIGNAL) != 4 || !test_recv(loop, end, false) ||
		end->result != 4)
		return "io_uring failed its self-test: receive into a lent block";
	if (!test_recv(loop, end, true) || end->result != -ECANCELED)
		return "io_uring failed its self-test: cancel";
	shutdown(peer, SHUT_WR);
	if (!test_recv(loop, end, false) || end->result != 0)
		return "io_uring failed its self-test: end of a stream";
	return NULL;
}

int uring_self_test(struct loop *loop, const char **ret_why)
{
	struct test_end end = {0};
	const char *failure;
	u64 until;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		*ret_why = "io_uring could not be tested: no descriptor left";
		return -errno;
	}
	op_init(&end.op, test_heard);
	sock_open(loop, &end.sock, fds[0]);
	failure = run_test(loop, &end, fds[1]);
	// An op that was never heard still belongs to the kernel: its last chance is the peer's
	// end.
	close(fds[1]);
	until = loop_now_ms(loop) + test_wait_ms;
	while (op_is_out(&end.op) && loop_now_ms(loop) < until)
		loop_turn(loop, until);
	if (failure)
		*ret_why = failure;
	if (op_is_out(&end.op))
		return -ETIMEDOUT;
	sock_close(loop, &end.sock);
	return failure ? -ENOSYS : 0;
}
