/* The table of one instruction set; include last, with TABLE defined as its name. Every slot that
 * the bodies give is filled the same way everywhere. */
#pragma once

#define SLOTS                                                                                      \
    .isa = VEC_NAME, .acts_quantize = acts_quantize, .mul_exact = mul_exact, .dot = row_dot,       \
    .add = row_add, .axpy = row_axpy, .scale = row_scale, .rmsnorm = row_rmsnorm,                  \
    .layernorm = row_layernorm, .silu = row_silu, .gelu_tanh = row_gelu_tanh,                      \
    .gelu_erf = row_gelu_erf, .max = row_max, .exp_sum = row_exp_sum, .softmax = row_softmax,      \
    .softcap = row_softcap, .rope_half = row_rope_half, .rope_pairs = row_rope_pairs,              \
    .kv_store = {kv_store_f16, kv_store_f32, kv_store_q8},                                         \
    .kv_expand_keys = {kv_expand_keys_f16, NULL, kv_expand_keys_q8},                               \
    .kv_expand_values = {kv_expand_values_f16, NULL, kv_expand_values_q8},                         \
    .attn_scores = {attn_scores_f16, attn_scores_f32, attn_scores_q8},                             \
    .attn_weights = attn_weights, .attn_mix = {attn_mix_f16, attn_mix_f32, attn_mix_q8}

#define MUL_ROW(id, name, ...) [id] = mul_##name,

const struct kernel_ops TABLE = {
    SLOTS,
    .mul = {[QT_F32] = float_mul_f32,
            [QT_F16] = float_mul_f16,
            [QT_BF16] = float_mul_bf16,
            QUANT_KINDS(MUL_ROW)},
};
