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

// What somebody says about a certificate (OCSP). Times are of Unix.
struct paper_response {
	const char *file;  // it is FILE.ocsp
	const char *about; // the certificate
	const char *other; // beside it, about another one that stands before it; or NULL
	const char *by;	   // whose certificate and key; NULL: the authority
	int status;	   // V_OCSP_CERTSTATUS_
	i64 from_s, until_s;
	bool has_no_end, is_sha256;
};

struct papers {
	char folder[64];
	void *authority, *authority_key;
};

// Makes the folder, with ca.crt in it.
void papers_begin(struct papers *papers);
void papers_make(struct papers *papers, const struct paper *paper);

// `by` names one that papers_make_responder has made, or any other.
void papers_respond(struct papers *papers, const struct paper_response *response);

// One that the authority lets speak for it, as FILE.crt and FILE.key.
void papers_make_responder(struct papers *papers, const char *file, bool is_expired);

// FILE-chain.crt: the certificate, and behind it that of the authority.
void papers_chain(struct papers *papers, const char *file);
void papers_end(struct papers *papers);

// "FOLDER/file"; the text is good until the next eight calls.
struct str papers_file(const struct papers *papers, const char *file);
