/* config.json to hyperparameters: whatever the text, either an error with words, or numbers that
 * the engine can allocate by and divide by. */
#include "engine/rope.h"
#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok, const char *what)
{
    if (!ok)
        hearth_bug("accepted: %s", what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct hparams hp;
    struct err err = {0};
    if (hparams_from_json(&hp, (struct str){(const char *)data, n}, &err) != OK) {
        check(err.msg[0] != 0, "an error without words");
        return 0;
    }
    check(hp.n_layers >= 1 && hp.n_layers <= HP_MAX_LAYERS, "layers");
    check(hp.n_kv_heads >= 1 && hp.n_heads % hp.n_kv_heads == 0, "heads");
    check(hp.head_dim >= 1 && hp.head_dim <= HP_MAX_HEAD_DIM, "head dimension");
    check(hp.n_experts_used <= hp.n_experts && hp.window >= 0, "experts or window");
    check(isfinite(hp.attn_scale) && isfinite(hp.embd_scale) && isfinite(hp.norm_eps), "scales");
    for (int d = D_NONE; d <= D_LABELS; d++)
        check(dim_value(&hp, (enum dim)d) >= 0, "dimension");
    for (int i = 0; i < hp.n_ropes && hp.arch->kind == MODEL_DECODER; i++) {
        struct rope_freqs f;
        float c[HP_MAX_HEAD_DIM / 2], s[HP_MAX_HEAD_DIM / 2];
        for (int64_t len = 1; len < 1 << 20; len *= 16) {
            rope_freqs(&hp.rope[i], rope_class(&hp.rope[i], len), &f);
            rope_angles(&f, len, c, s);
        }
    }
    return 0;
}
