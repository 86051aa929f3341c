/* How the dialects word an error. A route names its dialect; where there is no route, the path's
 * beginning tells. */
#pragma once
#include "server/http.h"

enum dialect { DIALECT_OLLAMA, DIALECT_OPENAI, DIALECT_ANTHROPIC, DIALECT_COUNT };

struct dialect_row {
    const char *name, *schema; /* schema: of an error, in the OpenAPI document */
    error_fn *error;
};
extern const struct dialect_row dialects[DIALECT_COUNT];

/* /v1/messages: Anthropic's; other /v1: OpenAI's; the rest: Ollama's. */
enum dialect dialect_of_path(struct str path);
