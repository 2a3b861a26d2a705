// SPDX-License-Identifier: Apache-2.0
// Accepts of the io_uring twin. One goes on in the kernel; what it takes before anybody hears of it
// waits here.
#include <sys/socket.h>
#include <unistd.h>

#include "loop/uring_inside.h"

enum {
	accepts_max = 1024,
	accepted_max = 8192, // taken by the kernel, not yet heard
};

struct accepted {
	struct accepted *next;
	int fd;
};

// One accept that goes on. The kernel may take several connections before the first is heard.
struct accepting {
	struct accepted *head, *tail;
	i32 end;
	bool armed, cancelling, has_end;
};

static struct accepting *accepting_of(const struct op *op)
{
	return (struct accepting *)(uintptr_t)op->twin[0];
}

static void ask_accept(struct uring_loop *twin, struct op *op)
{
	struct io_uring_sqe *sqe = uring_next_sqe(twin);
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

	if (twin->features.multishot_accept)
		io_uring_prep_multishot_accept(sqe, op->sock->fd, NULL, NULL, flags);
	else
		io_uring_prep_accept(sqe, op->sock->fd, NULL, NULL, flags);
	uring_sqe_tag(sqe, op, TAG_OP);
	accepting_of(op)->armed = true;
}

static void hear_accept_end(struct uring_loop *twin, struct op *op, i32 result)
{
	slab_put(&twin->acceptings, accepting_of(op));
	loop_hear(&twin->loop, op, result);
}

// The next thing to be heard of this accept, if there is one. The op is not in the heard queue.
static void accept_progress(struct uring_loop *twin, struct op *op)
{
	struct accepting *accepting = accepting_of(op);
	struct accepted *first = accepting->head;

	op->state = IN_RING;
	if (op->cancelled)
		uring_accept_cancel(twin, op);
	if (first) {
		int fd = first->fd;

		accepting->head = first->next;
		slab_put(&twin->accepted, first);
		loop_hear_more(&twin->loop, op, fd);
	} else if (accepting->armed) {
		return;
	} else if (op->cancelled) {
		hear_accept_end(twin, op, -ECANCELED);
	} else if (accepting->has_end) {
		hear_accept_end(twin, op, accepting->end);
	} else {
		ask_accept(twin, op);
	}
}

static void keep_accepted(struct uring_loop *twin, struct accepting *accepting, int fd)
{
	struct accepted *accepted = slab_get(&twin->accepted);

	if (!accepted) {
		close(fd); // refused admission
		return;
	}
	*accepted = (struct accepted){.fd = fd};
	if (accepting->head)
		accepting->tail->next = accepted;
	else
		accepting->head = accepted;
	accepting->tail = accepted;
}

void uring_accept_heard(struct uring_loop *twin, struct op *op, const struct io_uring_cqe *cqe)
{
	struct accepting *accepting = accepting_of(op);

	if (!(cqe->flags & IORING_CQE_F_MORE))
		accepting->armed = accepting->cancelling = false;
	if (cqe->res >= 0) {
		keep_accepted(twin, accepting, cqe->res);
	} else if (cqe->res == -EINVAL && twin->features.multishot_accept) {
		twin->features.multishot_accept = false;
	} else if (loop_real_accept_is_over(-cqe->res)) {
		accepting->has_end = true;
		accepting->end = cqe->res;
	}
	if (op->state != OP_STATE_HEARD)
		accept_progress(twin, op);
}

void uring_accept(struct loop *loop, struct op *op)
{
	struct uring_loop *twin = uring_of(loop);
	struct accepting *accepting = slab_get(&twin->acceptings);

	if (!accepting) {
		loop_hear(loop, op, -ENOMEM);
		return;
	}
	*accepting = (struct accepting){0};
	op->twin[0] = (u64)(uintptr_t)accepting;
	op->state = IN_RING;
	ask_accept(twin, op);
}

void uring_accept_next(struct loop *loop, struct op *op)
{
	accept_progress(uring_of(loop), op);
}

void uring_accept_cancel(struct uring_loop *twin, struct op *op)
{
	struct accepting *accepting = accepting_of(op);

	if (accepting->armed && !accepting->cancelling) {
		accepting->cancelling = true;
		uring_ask_cancel(twin, op);
	}
}

void uring_accept_init(struct uring_loop *twin)
{
	slab_init(&twin->acceptings, "accept", sizeof(struct accepting), accepts_max);
	slab_init(&twin->accepted, "accepted", sizeof(struct accepted), accepted_max);
}

void uring_accept_done(struct uring_loop *twin)
{
	slab_done(&twin->acceptings);
	slab_done(&twin->accepted);
}
