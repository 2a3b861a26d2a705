// SPDX-License-Identifier: Apache-2.0
// Everything of a worker and its pools that decides what happens next, as one number: who only
// looks does not change it.
#pragma once

#include "proxy/proxy.h"

// Takes up first what the control thread has published, as any pick does.
u64 still_hash(struct proxy *proxy);
