// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <pthread.h>

#include "decide/access_list.h"
#include "decide/cap.h"
#include "decide/client_cap.h"
#include "decide/gradient.h"
#include "decide/shed.h"
#include "decide/waiters.h"

static void a_cap_is_exact(void **state)
{
	struct cap cap = {0};

	(void)state;
	assert_true(cap_take(&cap, 2));
	assert_true(cap_take(&cap, 2));
	assert_false(cap_take(&cap, 2));
	assert_int_equal(cap_used(&cap), 2);
	assert_true(cap_take(&cap, 0));
	cap_give(&cap);
	cap_give(&cap);
	assert_true(cap_take(&cap, 2));
	assert_false(cap_take(&cap, 2));
}

static void give_nothing(void)
{
	struct cap cap = {0};

	cap_give(&cap);
}

static void giving_back_what_was_not_taken_is_our_bug(void **state)
{
	(void)state;
	assert_true(aborts(give_nothing));
}

enum { threads = 4, rounds = 20000, places = 3 };

struct contest {
	struct cap cap;
	_Atomic(u32) inside;
	_Atomic(bool) was_exceeded;
};

static void *compete(void *data)
{
	struct contest *contest = data;

	for (int i = 0; i < rounds; i++) {
		if (!cap_take(&contest->cap, places))
			continue;
		if (atomic_fetch_add(&contest->inside, 1) >= places)
			contest->was_exceeded = true;
		atomic_fetch_sub(&contest->inside, 1);
		cap_give(&contest->cap);
	}
	return NULL;
}

static void a_cap_holds_between_threads(void **state)
{
	static struct contest contest;
	pthread_t running[threads];

	(void)state;
	for (int i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&running[i], NULL, compete, &contest), 0);
	for (int i = 0; i < threads; i++)
		assert_int_equal(pthread_join(running[i], NULL), 0);
	assert_false(contest.was_exceeded);
	assert_int_equal(cap_used(&contest.cap), 0);
}

// Whose turn it is leaves.
static struct waiter *pop(struct waiters *waiters, u64 now_ms)
{
	struct waiter *waiter = waiters_next(waiters, NULL, now_ms);

	if (waiter)
		waiters_leave(waiters, waiter, now_ms);
	return waiter;
}

static void the_queue_is_first_come_first_served(void **state)
{
	struct waiters waiters;
	struct waiter each[4];

	(void)state;
	waiters_init(&waiters, 5);
	assert_null(pop(&waiters, 5));
	for (u32 i = 0; i < 4; i++) {
		waiter_init(&each[i]);
		assert_int_equal(waiters_push(&waiters, &each[i], 3, 1000, 10 + i), i < 3);
	}
	assert_false(waiter_is_waiting(&each[3]));
	assert_int_equal(waiters.count, 3);
	assert_int_equal(waiters.empty_ms, 10);
	waiters_leave(&waiters, &each[1], 20);
	waiters_leave(&waiters, &each[1], 20);
	assert_true(waiters_push(&waiters, &each[3], 3, 1000, 21));
	assert_ptr_equal(pop(&waiters, 30), &each[0]);
	assert_ptr_equal(pop(&waiters, 31), &each[2]);
	assert_ptr_equal(pop(&waiters, 32), &each[3]);
	assert_int_equal(waiters.count, 0);
	assert_int_equal(waiters.empty_ms, 32);
	waiters_init(&waiters, 0);
	assert_false(waiters_push(&waiters, &each[0], 0, 1000, 0));
}

static void who_waited_too_long_is_passed_over(void **state)
{
	struct waiters waiters;
	struct waiter late, early;

	(void)state;
	waiters_init(&waiters, 0);
	waiter_init(&late);
	waiter_init(&early);
	assert_true(waiters_push(&waiters, &late, 10, 100, 0));
	assert_true(waiters_push(&waiters, &early, 10, 200, 0));
	assert_ptr_equal(pop(&waiters, 100), &early);
	assert_null(pop(&waiters, 100));
	assert_true(waiter_is_waiting(&late));
	waiters_leave(&waiters, &late, 101);
	assert_int_equal(waiters.empty_ms, 101);
}

static void who_comes_back_stands_where_it_stood(void **state)
{
	struct waiters waiters;
	struct waiter each[4], late;

	(void)state;
	waiters_init(&waiters, 0);
	waiter_init(&late);
	assert_true(waiters_push(&waiters, &late, 10, 50, 1));
	for (u32 i = 0; i < 4; i++) {
		waiter_init(&each[i]);
		assert_true(waiters_push(&waiters, &each[i], 10, 1000, 10 + i));
	}
	// Those whose time is over are not seen.
	assert_ptr_equal(waiters_next(&waiters, NULL, 49), &late);
	assert_ptr_equal(waiters_next(&waiters, NULL, 50), &each[0]);
	assert_ptr_equal(waiters_next(&waiters, &each[0], 50), &each[1]);
	assert_ptr_equal(waiters_next(&waiters, &each[2], 50), &each[3]);
	assert_null(waiters_next(&waiters, &each[3], 50));
	for (u32 i = 0; i < 4; i++) { // also from the middle and from the end
		waiters_leave(&waiters, &each[i], 60);
		waiters_return(&waiters, &each[i]);
		assert_int_equal(waiters.count, 5);
	}
	for (u32 i = 0; i < 4; i++)
		assert_ptr_equal(pop(&waiters, 60), &each[i]);
	waiters_leave(&waiters, &late, 60);
}

// Else a queue of one, whose turn comes to nothing again and again, would never be a standing one.
static void who_comes_back_was_not_gone(void **state)
{
	struct waiters waiters;
	struct waiter one;

	(void)state;
	waiters_init(&waiters, 0);
	waiter_init(&one);
	assert_true(waiters_push(&waiters, &one, 10, 1000, 10));
	waiters_leave(&waiters, &one, 500);
	waiters_return(&waiters, &one);
	assert_int_equal(waiters.empty_ms, 10);
	waiters_leave(&waiters, &one, 600);
	assert_int_equal(waiters.empty_ms, 600);
}

static void free_places_go_round(void **state)
{
	u32 waiting[4] = {1, 0, 2, 1};

	(void)state;
	assert_int_equal(waiters_next_thread(waiting, 4, 3), 0);
	assert_int_equal(waiters_next_thread(waiting, 4, 0), 2);
	assert_int_equal(waiters_next_thread(waiting, 4, 2), 3);
	waiting[0] = waiting[2] = 0;
	assert_int_equal(waiters_next_thread(waiting, 4, 3), 3);
	waiting[3] = 0;
	assert_int_equal(waiters_next_thread(waiting, 4, 3), 4);
}

static struct addr addr_of(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse_ip(str_from(text), &addr), 0);
	return addr;
}

static struct client_key key_of(const char *text)
{
	struct addr addr = addr_of(text);

	return client_cap_key(&addr);
}

static void a_client_has_its_own_count(void **state)
{
	struct client_slot slots[8];
	struct client_cap cap;
	struct client_key one = key_of("10.0.0.1"), two = key_of("10.0.0.2");

	(void)state;
	client_cap_init(&cap, slots, ARRAY_LEN(slots), 42);
	assert_int_equal(client_cap_take(&cap, &one, 2), CLIENT_CAP_OK);
	assert_int_equal(client_cap_take(&cap, &one, 2), CLIENT_CAP_OK);
	assert_int_equal(client_cap_take(&cap, &one, 2), CLIENT_CAP_REFUSED);
	assert_int_equal(client_cap_take(&cap, &two, 2), CLIENT_CAP_OK);
	assert_int_equal(client_cap_count(&cap, &one), 2);
	client_cap_give(&cap, &one);
	assert_int_equal(client_cap_take(&cap, &one, 2), CLIENT_CAP_OK);
	client_cap_give(&cap, &one);
	client_cap_give(&cap, &one);
	client_cap_give(&cap, &two);
	assert_int_equal(cap.used, 0);
	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		assert_int_equal(slots[i].key.family, ADDR_NONE);
}

static void an_ipv6_client_is_its_network(void **state)
{
	struct client_slot slots[8];
	struct client_cap cap;
	struct client_key one = key_of("2001:db8::1"), same = key_of("2001:db8::ffff:1"),
			  other = key_of("2001:db8:0:1::1");

	(void)state;
	client_cap_init(&cap, slots, ARRAY_LEN(slots), 1);
	assert_int_equal(client_cap_take(&cap, &one, 1), CLIENT_CAP_OK);
	assert_int_equal(client_cap_take(&cap, &same, 1), CLIENT_CAP_REFUSED);
	assert_int_equal(client_cap_take(&cap, &other, 1), CLIENT_CAP_OK);
}

static void groups_count_apart(void **state)
{
	struct client_slot slots[8];
	struct client_cap cap;
	struct client_key one = key_of("10.0.0.1"), other = one;

	(void)state;
	other.group = 1;
	client_cap_init(&cap, slots, ARRAY_LEN(slots), 3);
	assert_int_equal(client_cap_take(&cap, &one, 1), CLIENT_CAP_OK);
	assert_int_equal(client_cap_take(&cap, &other, 1), CLIENT_CAP_OK);
	assert_int_equal(client_cap_take(&cap, &one, 1), CLIENT_CAP_REFUSED);
	client_cap_give(&cap, &other);
	assert_int_equal(client_cap_count(&cap, &one), 1);
	assert_int_equal(client_cap_count(&cap, &other), 0);
}

static void a_full_table_and_strange_peers_are_let_in_uncounted(void **state)
{
	struct client_slot slots[2];
	struct client_cap cap;
	struct client_key one = key_of("10.0.0.1"), two = key_of("10.0.0.2"),
			  three = key_of("10.0.0.3");
	struct addr unix_peer = {.family = ADDR_UNIX, .path = ""};
	struct client_key none = client_cap_key(&unix_peer);

	(void)state;
	client_cap_init(&cap, slots, 2, 7);
	assert_int_equal(client_cap_take(&cap, &one, 1), CLIENT_CAP_OK);
	assert_int_equal(client_cap_take(&cap, &two, 1), CLIENT_CAP_OK);
	assert_int_equal(client_cap_take(&cap, &three, 1), CLIENT_CAP_UNCOUNTED);
	assert_int_equal(client_cap_take(&cap, &one, 1), CLIENT_CAP_REFUSED);
	assert_int_equal(client_cap_take(&cap, &none, 1), CLIENT_CAP_UNCOUNTED);
	client_cap_give(&cap, &one);
	assert_int_equal(client_cap_take(&cap, &three, 1), CLIENT_CAP_OK);
}

static void access_lists(void **state)
{
	struct addr_prefix allow, deny;
	struct addr inside = addr_of("10.1.2.3"), banned = addr_of("10.9.0.1"),
		    outside = addr_of("192.0.2.1"), v6 = addr_of("::1"),
		    unix_peer = {.family = ADDR_UNIX, .path = ""};
	struct access_list list = {0};

	(void)state;
	assert_int_equal(addr_prefix_parse(STR("10.0.0.0/8"), &allow), 0);
	assert_int_equal(addr_prefix_parse(STR("10.9.0.0/16"), &deny), 0);
	assert_true(access_list_lets_in(&list, &outside));
	list = (struct access_list){.deny = &deny, .deny_count = 1};
	assert_true(access_list_lets_in(&list, &outside));
	assert_false(access_list_lets_in(&list, &banned));
	list = (struct access_list){
		.allow = &allow, .allow_count = 1, .deny = &deny, .deny_count = 1};
	assert_true(access_list_lets_in(&list, &inside));
	assert_false(access_list_lets_in(&list, &banned));
	assert_false(access_list_lets_in(&list, &outside));
	assert_false(access_list_lets_in(&list, &v6));
	assert_true(access_list_lets_in(&list, &unix_peer));
}

static void a_standing_queue_is_shed(void **state)
{
	static const struct shed_rules rules = {.target_ms = 100, .interval_ms = 1000};
	static const struct shed_rules off = {0};

	(void)state;
	assert_false(shed_is_overload(&rules, 5000, 3, 5999));
	assert_true(shed_is_overload(&rules, 5000, 3, 6000));
	assert_false(shed_is_overload(&rules, 5000, 0, 9000));
	assert_false(shed_is_overload(&off, 0, 3, 9000));
}

static void a_limit_grows_while_answers_stay_fast(void **state)
{
	static const struct gradient_rules rules = {20, 200, 20};
	struct gradient gradient;

	(void)state;
	gradient_init(&gradient, &rules);
	assert_int_equal(gradient_limit(&gradient), 20);
	for (int i = 0; i < 20; i++) // not used: no reason to grow
		gradient_note(&gradient, &rules, 10000, 5);
	assert_int_equal(gradient_limit(&gradient), 20);
	gradient_note(&gradient, &rules, 10000, 20);
	// 0.8 * 20 + 0.2 * (20 * 1 + 4)
	assert_true(gradient.limit > 20.799 && gradient.limit < 20.801);
	for (int i = 0; i < 10000; i++)
		gradient_note(&gradient, &rules, 10000, 200);
	assert_int_equal(gradient_limit(&gradient), 200);
}

static void a_limit_shrinks_when_answers_become_slow(void **state)
{
	static const struct gradient_rules rules = {20, 200, 100};
	struct gradient gradient;

	(void)state;
	gradient_init(&gradient, &rules);
	for (int i = 0; i < 10; i++)
		gradient_note(&gradient, &rules, 10000, 1);
	gradient_note(&gradient, &rules, 1000000, 100);
	// The gradient is at its least: 0.8 * 100 + 0.2 * (100 * 0.5 + 4)
	assert_true(gradient.limit > 90.79 && gradient.limit < 90.81);
	for (int i = 0; i < 30; i++)
		gradient_note(&gradient, &rules, 1000000, 100);
	assert_in_range(gradient_limit(&gradient), 20, 40);
	// Fast again: what is usual is found again soon.
	for (int i = 0; i < 100; i++)
		gradient_note(&gradient, &rules, 10000, 100);
	assert_true(gradient.long_us < 40000);
	assert_true(gradient_limit(&gradient) > 60);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cap_is_exact),
		cmocka_unit_test(giving_back_what_was_not_taken_is_our_bug),
		cmocka_unit_test(a_cap_holds_between_threads),
		cmocka_unit_test(the_queue_is_first_come_first_served),
		cmocka_unit_test(who_waited_too_long_is_passed_over),
		cmocka_unit_test(who_comes_back_stands_where_it_stood),
		cmocka_unit_test(who_comes_back_was_not_gone),
		cmocka_unit_test(free_places_go_round),
		cmocka_unit_test(a_client_has_its_own_count),
		cmocka_unit_test(an_ipv6_client_is_its_network),
		cmocka_unit_test(groups_count_apart),
		cmocka_unit_test(a_full_table_and_strange_peers_are_let_in_uncounted),
		cmocka_unit_test(access_lists),
		cmocka_unit_test(a_standing_queue_is_shed),
		cmocka_unit_test(a_limit_grows_while_answers_stay_fast),
		cmocka_unit_test(a_limit_shrinks_when_answers_become_slow),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
