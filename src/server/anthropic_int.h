/* Between anthropic_request.c and anthropic.c. */
#pragma once
#include "server/anthropic.h"
#include "server/ask.h"

/* Everything of the body but `stream` into a->r; counting: max_tokens may be absent. */
NODISCARD enum status anthropic_read(struct ask *a, bool counting, struct err *err);
