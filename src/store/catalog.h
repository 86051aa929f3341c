/* Models that are known before they are fetched: names, licences, what each is good for. */
#pragma once
#include "base/buf.h"

enum catalog_use {
    USE_PROTOTYPING = 1, /* trying an idea out: good answers for its size, easily replaced */
    USE_PRODUCTION = 2,  /* answers that others depend on */
    USE_CONSTRAINED = 4, /* small machines: boards, old laptops, beside other programs */
    USE_CODE = 8,        /* trained on much source code */
    USE_CLASSIFYING = 16 /* an encoder: labels and embeddings, no text */
};

struct catalog_model {
    const char *name;
    const char *ollama; /* for `hearth pull`; "": not in Ollama's library */
    const char *hf;     /* for `hearth pull hf.co/...` */
    const char *shape;  /* synth_find */
    const char *licence;
    int trained_ctx;
    unsigned uses; /* enum catalog_use */
};

/* Smallest first, ended by a row whose name is NULL. */
extern const struct catalog_model catalog[];

/* Name of one use ("code"); NULL past the last. Bit i of `uses` is use i. */
const char *catalog_use_name(int i);
