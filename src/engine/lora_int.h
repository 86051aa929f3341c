/* What the two formats of adapters share. */
#pragma once
#include "engine/engine_int.h"

/* An adapter file's tensors under the names of one format, and how strong each pair is. */
struct lora_source {
    struct tensor_source tensors;
    /* Names of the two tensors of the matrix `module` (a rule's name without ".weight"). */
    void (*names)(struct str module, char *a, char *b, size_t size);
    /* alpha / rank (or as the format says) of a module's pair */
    enum status (*scale)(const void *ctx, struct str module, int64_t rank, float *out,
                         struct err *err);
    const void *ctx;
};

/* Fills l->pairs from every tensor of the source, or tells which one has no place. */
NODISCARD enum status lora_bind(struct lora *l, const struct lora_source *src, struct err *err);

#ifndef HEARTH_ENGINE_ONLY
/* A PEFT folder, or its adapter_model.safetensors. */
NODISCARD enum status lora_open_peft(struct lora *l, const char *path, struct err *err);
void lora_close_peft(struct lora *l);
#endif
