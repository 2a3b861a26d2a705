// SPDX-License-Identifier: Apache-2.0
#include "net/tls_gate.h"

#include "net/conn.h"
#include "net/tls.h"

static void look_at_turn(struct tls_gate *gate)
{
	u64 now_us = loop_now_us(gate->loop);

	if (gate->turn_us == now_us)
		return;
	gate->turn_us = now_us;
	gate->left = TLS_GATE_PER_TURN;
}

static void come_again(struct tls_gate *gate)
{
	if (list_is_empty(&gate->waiting) || gate->is_posted)
		return;
	gate->is_posted = true;
	loop_post(gate->loop, &gate->message);
}

static void on_turn(struct message *message)
{
	struct tls_gate *gate = container_of(message, struct tls_gate, message);

	gate->is_posted = false;
	look_at_turn(gate);
	while (gate->left && !list_is_empty(&gate->waiting)) {
		struct tls *tls = list_first(&gate->waiting, struct tls, gate_node);

		list_remove(&tls->gate_node);
		tls->may_pass = true;
		gate->left--;
		conn_poke(tls->conn);
	}
	come_again(gate);
}

void tls_gate_init(struct tls_gate *gate)
{
	*gate = (struct tls_gate){.message = {.deliver = on_turn}};
	list_init(&gate->waiting);
}

bool tls_gate_pass(struct tls_gate *gate, struct tls *tls)
{
	if (tls->may_pass || !gate->loop)
		return true;
	if (list_is_linked(&tls->gate_node))
		return false;
	look_at_turn(gate);
	if (gate->left && list_is_empty(&gate->waiting)) {
		gate->left--;
		tls->may_pass = true;
		return true;
	}
	list_push_back(&gate->waiting, &tls->gate_node);
	come_again(gate);
	return false;
}

void tls_gate_leave(struct tls *tls)
{
	list_remove(&tls->gate_node);
}
