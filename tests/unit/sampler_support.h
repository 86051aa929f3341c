/* What the sampler's tests share. */
#pragma once
#include "engine/sampler.h"
#include "engine/sampler_int.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Every step off: temperature 1, the whole vocabulary. */
static const struct sampler_params off = {
    .temperature = 1,
    .top_p = 1,
    .typical_p = 1,
    .repetition_penalty = 1,
    .penalty_last_n = 64,
    .dry_base = 1.75,
    .dry_allowed_length = 2,
    .dry_penalty_last_n = -1,
    .xtc_threshold = 0.1,
    .mirostat_tau = 5,
    .mirostat_eta = 0.1,
};

static inline struct sampler *make(const struct sampler_params *p, size_t n)
{
    struct sampler *s;
    struct err err = {0};
    assert_ok(sampler_new(&s, p, n, NULL, NULL, &err));
    return s;
}

/* Token i is ctx[i], an array of strings. */
static inline struct str letter_text(const void *ctx, int32_t token)
{
    const char *const *text = ctx;
    return str_from(text[token]);
}
