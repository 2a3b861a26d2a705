// SPDX-License-Identifier: Apache-2.0
#include "base/list.h"

#include "test.h"

struct item {
	int value;
	struct list node;
};

static int collect(struct list *head, int *ret_values)
{
	int count = 0;

	list_for_each (node, head) {
		assert_ptr_equal(node->next->prev, node);
		ret_values[count++] = list_entry(node, struct item, node)->value;
	}
	return count;
}

static void order_and_removal(void **state)
{
	struct list head;
	struct item items[4];
	int values[4];

	(void)state;
	list_init(&head);
	assert_true(list_is_empty(&head));
	for (int i = 0; i < 4; i++) {
		items[i].value = i;
		list_init(&items[i].node);
		assert_false(list_is_linked(&items[i].node));
	}
	list_push_back(&head, &items[1].node);
	list_push_back(&head, &items[2].node);
	list_push_front(&head, &items[0].node);
	assert_int_equal(collect(&head, values), 3);
	assert_int_equal(values[0], 0);
	assert_int_equal(values[1], 1);
	assert_int_equal(values[2], 2);
	assert_ptr_equal(list_first(&head, struct item, node), &items[0]);
	list_remove(&items[1].node);
	list_remove(&items[1].node); // twice is nothing
	assert_false(list_is_linked(&items[1].node));
	list_insert_between(&items[3].node, &items[0].node, &items[2].node);
	assert_int_equal(collect(&head, values), 3);
	assert_int_equal(values[1], 3);
}

static void removal_while_walking(void **state)
{
	struct list head;
	struct item items[10];
	int values[10];

	(void)state;
	list_init(&head);
	for (int i = 0; i < 10; i++) {
		items[i].value = i;
		list_push_back(&head, &items[i].node);
	}
	list_for_each_safe (node, &head) {
		if (list_entry(node, struct item, node)->value % 3 == 0)
			list_remove(node);
	}
	assert_int_equal(collect(&head, values), 6);
	assert_int_equal(values[0], 1);
	assert_int_equal(values[5], 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_and_removal),
		cmocka_unit_test(removal_while_walking),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
