/* Reading reference outputs: HEARTH_GOLDEN names a folder with all of them; without it the ones in
 * tests/data/golden are used. Both have hf/NAME, gguf/NAME-bf16.gguf and quant/. */
#pragma once
#include "base/file.h"
#include "base/json.h"
#include "engine/engine.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct golden {
    int32_t tokens[256], prompt[256], greedy[64];
    size_t n_tokens, n_prompt, n_greedy;
    double gap[64];
    float *logits; /* (n_tokens, vocab) */
    size_t vocab;
};

static inline const char *golden_root(void)
{
    const char *env = getenv("HEARTH_GOLDEN");
    return env && *env ? env : HEARTH_SOURCE_DIR "/tests/data/golden";
}

static inline bool golden_all(void)
{
    const char *env = getenv("HEARTH_GOLDEN");
    return env && *env;
}

static inline const char *golden_path(char out[512], const char *fmt, const char *name)
{
    char rest[256];
    snprintf(rest, sizeof rest, "%s", fmt);
    char *hole = strstr(rest, "%s");
    if (hole) {
        *hole = 0;
        snprintf(out, 512, "%s/%s%s%s", golden_root(), rest, name, hole + 2);
    } else {
        snprintf(out, 512, "%s/%s", golden_root(), rest);
    }
    return out;
}

static inline size_t golden_ids(const json_t *a, int32_t *out, size_t max)
{
    size_t n = json_array_size(a);
    assert_true(n <= max);
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(a, i));
    return n;
}

static inline void golden_logits(struct golden *g, const char *path)
{
    struct err err;
    struct buf b;
    buf_init(&b, 64 << 20);
    assert_ok(file_read(path, &b, &err));
    assert_true(g->n_tokens > 0 && b.n % (g->n_tokens * 4) == 0);
    g->vocab = b.n / 4 / g->n_tokens;
    g->logits = malloc(b.n);
    assert_non_null(g->logits);
    memcpy(g->logits, b.p, b.n);
    buf_release(&b);
}

/* json: a golden.json of a model; logits beside it in `logits`. */
static inline void golden_load(struct golden *g, const char *json, const char *logits)
{
    struct err err;
    json_t *o;
    memset(g, 0, sizeof *g);
    assert_ok(json_parse_file(&o, json, 16 << 20, &err));
    g->n_tokens = golden_ids(json_object_get(o, "tokens"), g->tokens, 256);
    g->n_prompt = golden_ids(json_object_get(o, "greedy_prompt"), g->prompt, 256);
    g->n_greedy = golden_ids(json_object_get(o, "greedy"), g->greedy, 64);
    for (size_t i = 0; i < g->n_greedy; i++)
        g->gap[i] = json_number_value(json_array_get(json_object_get(o, "greedy_gap"), i));
    json_decref(o);
    golden_logits(g, logits);
}

static inline void golden_free(struct golden *g)
{
    free(g->logits);
}

static inline double rel_error(const float *a, const float *ref, size_t n)
{
    double d = 0, r = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)ref[i]) * ((double)a[i] - (double)ref[i]);
        r += (double)ref[i] * (double)ref[i];
    }
    return d == 0 ? 0 : sqrt(d / r); /* a padding token's logits may be all zero */
}

/* Logits of all tokens, fed in chunks of at most `chunk`, into out (n, n_vocab). */
static inline void run_logits(struct engine *e, const int32_t *tokens, size_t n, size_t chunk,
                              float *out)
{
    struct err err;
    struct model_info info;
    model_info(engine_model(e), &info);
    size_t vocab = (size_t)info.n_vocab;
    int seq;
    assert_ok(engine_seq_new(e, &seq, &err));
    engine_seq_expect(e, seq, (int64_t)n);
    struct step_row rows[256];
    for (size_t at = 0; at < n; at += chunk) {
        size_t k = n - at < chunk ? n - at : chunk;
        for (size_t i = 0; i < k; i++)
            rows[i] = (struct step_row){tokens[at + i], seq, true};
        assert_ok(engine_step(e, rows, (int)k, &err));
        for (size_t i = 0; i < k; i++)
            memcpy(out + (at + i) * vocab, engine_logits(e, (int)i), vocab * sizeof *out);
    }
    engine_seq_free(e, seq);
}

/* The model hf/NAME with `change` (a JSON object) laid over its config.json. */
static inline struct model *golden_with_config(const char *name, const char *change)
{
    struct err err;
    char dir[] = "/tmp/hearth-golden-test-XXXXXX", from[512], path[600], command[1400];
    json_t *config, *over = json_loads(change, 0, NULL);
    assert_non_null(mkdtemp(dir));
    golden_path(from, "hf/%s", name);
    snprintf(command, sizeof command, "ln -s '%s'/*.safetensors '%s'/tokenizer*.json '%s'", from,
             from, dir);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/config.json", from);
    assert_ok(json_parse_file(&config, path, 1 << 20, &err));
    assert_int_equal(json_object_update(config, over), 0);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
    json_decref(over);
    struct model *m;
    assert_ok(model_open(&m, dir, NULL, &err));
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    assert_int_equal(system(command), 0);
    return m;
}
