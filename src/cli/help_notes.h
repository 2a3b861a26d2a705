// SPDX-License-Identifier: Apache-2.0
// What `weir help COMMAND` says behind the options: what a command prints and how it ends, with
// examples.
#pragma once

#include "base/text.h"

// `commands` has a bit of each enum plan_command.
void help_add_notes(u64 commands, struct text *text);
