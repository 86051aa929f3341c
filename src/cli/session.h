/* A chat with one model: what `hearth run` holds, in a conversation or for a single answer. */
#pragma once
#include "base/arena.h"
#include "cli/conversation.h"
#include "cli/load.h"
#include "cli/options.h"

struct session {
    struct loaded l;
    struct options o; /* as given, then as /set changes it */
    struct provider *provider;
    struct conversation chat;
    struct buf template; /* of --template, or the store's entry; empty: the model's own */
    struct arena arena;  /* what the entry put into o */
    double load_s;
    char **kept; /* values that /set put into o */
    size_t n_kept;
};

NODISCARD enum status session_open(struct session *s, const struct options *o, struct err *err);
void session_close(struct session *s);

/* Asks and writes the answer to standard output; the conversation then holds both. ECONTEXT when
 * the context was full before the answer was complete (what there is of it was written and kept);
 * after other errors the conversation is as it was. */
NODISCARD enum status session_ask(struct session *s, struct str text, struct err *err);

/* Changes an option while running, by its name or Ollama's for it. EUSAGE for one that cannot. */
NODISCARD enum status session_set(struct session *s, const char *name, const char *value,
                                  struct err *err);

/* repl.c: the conversation in a terminal. */
NODISCARD enum status repl_run(struct session *s, struct err *err);
