// SPDX-License-Identifier: Apache-2.0
// Certificates for tests: an authority and what it signs, in a folder of their own.
#pragma once

#include "base/str.h"

struct paper {
	const char *file;    // its certificate is FILE.crt in the folder, the key FILE.key
	const char *names;   // "DNS:a.example,DNS:*.b.example"; NULL: none
	const char *subject; // the common name
	bool is_rsa, is_expired, is_stranger; // signed by itself, not by the authority
};

struct papers {
	char folder[64];
	void *authority, *authority_key;
};

// Makes the folder, with ca.crt in it.
void papers_begin(struct papers *papers);
void papers_make(struct papers *papers, const struct paper *paper);
void papers_end(struct papers *papers);

// "FOLDER/file"; the text is good until the next eight calls.
struct str papers_file(const struct papers *papers, const char *file);
