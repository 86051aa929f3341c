/* What the files of pull and push share. */
#pragma once
#include "base/arena.h"
#include "store/fetch.h"
#include "store/store_int.h"

struct transfer {
    struct store *s;
    const struct transfer_options *o;
    struct web *web;
    struct model_name name;
    struct arena arena;
};
NODISCARD enum status transfer_open(struct transfer *t, struct store *s,
                                    const struct transfer_options *o, struct err *err);
void transfer_close(struct transfer *t);
NODISCARD enum status pull_hf(struct transfer *t, struct err *err); /* pull_hf.c */
