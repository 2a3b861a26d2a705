// SPDX-License-Identifier: Apache-2.0
// Certificates of one frontend that stand for the same name with the same kind of key: the first of
// them is shown, and the other one never (net/tls_server.h).
#pragma once

#include "conf/conf.h"
#include "net/tls_cert.h"

struct twin {
	char *name; // owned
	enum tls_cert_kind kind;
	u32 index; // in the frontend's list
};

struct twins {
	struct twin *list;
	u32 count, room;
};

// One certificate of the list, in its order.
void twins_add(struct twins *twins, const struct tls_cert *cert, u32 index);

// Adds a warning for each certificate that another one hides, and forgets all. `certificates`: the
// list.
void twins_tell(struct twins *twins, const struct conf *conf,
	const struct conf_certificate *certificates, u32 count, struct errs *errs);
