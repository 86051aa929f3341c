/* Anthropic's API: messages, counting, and its form of the list of models. */
#pragma once
#include "server/http.h"

handler_fn anthropic_messages, anthropic_count_tokens;
/* GET /v1/models and /v1/models/{model} for a client that sends anthropic-version. */
handler_fn anthropic_models, anthropic_model;
