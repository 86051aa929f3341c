/* Rotary position angles: from hyperparameters to cos and sin of one position. */
#pragma once
#include "engine/arch.h"

/* Inverse frequencies of one RoPE kind for sequences of a given length. */
struct rope_freqs {
    int64_t n_rot;
    float scale;                    /* of cos and sin */
    float inv[HP_MAX_HEAD_DIM / 2]; /* (n_rot / 2) */
};

/* The length class of a sequence of n tokens: sequences of one class have equal frequencies. 0 for
 * most scalings; longrope: 1 past the trained length; dynamic: n past it, else 0. Keys that were
 * cached under another class carry other angles. */
int64_t rope_class(const struct rope_params *p, int64_t n);

/* Frequencies of a length class. Arithmetic in float32 where the reference implementation's is, so
 * that angles at large positions agree. */
void rope_freqs(const struct rope_params *p, int64_t class, struct rope_freqs *out);

/* cos and sin of one position, n_rot / 2 each. */
void rope_angles(const struct rope_freqs *f, int64_t pos, float *cos_out, float *sin_out);
