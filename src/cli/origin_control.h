// SPDX-License-Identifier: Apache-2.0
// What the test backend counts, and /-/fault, where it tells of that and is told to fail.
#pragma once

#include "proto/http.h"

struct origin_client;

enum { ORIGIN_STATUS_MAX = 599, ORIGIN_METHODS = HTTP_CONNECT + 1 };

// Since the start or the last DELETE. /health, /load and /-/fault do not count as requests.
struct origin_counts {
	u64 requests, health_checks;
	u64 faulty; // requests that met a fault other than a delay
	u64 methods[ORIGIN_METHODS];
	u64 statuses[ORIGIN_STATUS_MAX + 1]; // of answers that have begun
	u64 bodies, body_bytes; // request bodies that came to their end; all their bytes
	u64 connections;	// accepted
	// Open now, and the most there were. A connection counts until it asks for /-/fault: for an
	// exact count, ask on one that has asked before.
	u32 sockets, sockets_max;
};

void origin_counts_add_socket(struct origin_counts *counts);
void origin_counts_add_body(struct origin_counts *counts, size_t bytes, bool whole);

// Carries out a request for /-/fault and begins its JSON.
void origin_control(struct origin_client *client, const struct http_head *head, struct str query);
