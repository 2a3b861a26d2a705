// SPDX-License-Identifier: Apache-2.0
// What happened in the last hour, second by second, and in the last day, minute by minute: of the
// whole, of each pool and of each backend, within a fixed amount of memory. Where there are so many
// of them that this does not hold a point for each second, points stand for longer spans, and say
// so.
//
// The admin thread alone reads and writes.
#pragma once

#include "base/json.h"
#include "proxy/stats.h"

enum {
	HISTORY_SECONDS = 3600,
	HISTORY_MINUTES = 1440,
	HISTORY_HEAT = 20, // spans of latency that are told apart over time
};

struct history;

// One second of something.
struct history_moment {
	u64 requests, errors;
	u32 connections;
	u32 p50_us, p90_us, p99_us, max_us; // 0 without requests
	const struct histogram *time;	    // of this second; NULL: no heat is kept
};

struct history *history_new(u32 pools, u32 backends);
void history_free(struct history *history);

// There are more of them now. Those that are new have room as if all had come at once.
void history_fit(struct history *history, u32 pools, u32 backends);

// Its slot has another owner.
enum history_of { HISTORY_WHOLE, HISTORY_POOL, HISTORY_BACKEND };
void history_forget(struct history *history, enum history_of of, u32 index);

// Adds a second; by index of the pools and by cell of the backends.
void history_add(struct history *history, i64 wall_ms, const struct history_moment *whole,
	const struct history_moment *pools, const struct history_moment *backends);

// The object of docs/api.md for the last `seconds`.
void history_write(struct json *json, const struct history *history, enum history_of of, u32 index,
	u32 seconds);

size_t history_bytes(const struct history *history); // what it has taken
