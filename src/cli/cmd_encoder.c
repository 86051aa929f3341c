/* hearth classify, hearth embed: encoders (embed: decoders, too) on the text of standard input. */
#include "base/jsonw.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "engine/embed.h"
#include "engine/encoder.h"
#include <stdio.h>
#include <stdlib.h>

/* One text or a pair, encoded and run through `head`. */
struct run {
    struct loaded l;
    struct buf text;
    struct tokens ids, types;
    struct encoder_out out;
};

static enum status read_ids(struct run *r, const struct options *o, struct err *err)
{
    const struct tokenizer *tok = model_tokenizer(r->l.model);
    enum status s = read_stdin(&r->text, err);
    /* the line break that ends a line typed or echoed is not part of the text */
    if (s == OK && r->text.n && r->text.p[r->text.n - 1] == '\n')
        r->text.p[--r->text.n] = 0;
    if (s == OK && o->pair)
        s = tokenizer_encode_pair(tok, buf_str(&r->text), str_from(o->pair), &r->ids, &r->types,
                                  err);
    else if (s == OK)
        s = tokenizer_encode(tok, buf_str(&r->text), TOKENIZE_ADD_SPECIAL, &r->ids, err);
    return s;
}

static enum status run_text(struct run *r, const struct options *o, enum encoder_head head,
                            struct err *err)
{
    enum status s = read_ids(r, o, err);
    if (s == OK)
        s = encoder_run(r->l.model, r->l.pool, r->ids.id, o->pair ? r->types.id : NULL, r->ids.n,
                        head, o->exact, &r->out, err);
    return s;
}

static void run_release(struct run *r)
{
    buf_release(&r->text);
    tokens_free(&r->ids);
    tokens_free(&r->types);
    encoder_out_release(&r->out);
    unload(&r->l);
}

static enum status open_any(struct run *r, const struct options *o, bool *decoder, struct err *err)
{
    struct model_info info;
    *r = (struct run){0};
    buf_init(&r->text, (size_t)1 << 30);
    enum status s = load_model(&r->l, o, false, err);
    if (s != OK)
        return s;
    model_info(r->l.model, &info);
    *decoder = info.kind == MODEL_DECODER;
    return OK;
}

static enum status open_encoder(struct run *r, const struct options *o, struct err *err)
{
    bool decoder;
    struct model_info info;
    enum status s = open_any(r, o, &decoder, err);
    if (s != OK || !decoder)
        return s;
    model_info(r->l.model, &info);
    return err_set(err, EUSAGE, "'%s' is a %.*s, which generates text; expected an encoder",
                   o->args[0], STR_ARG(info.arch));
}

static size_t best_of(const float *row, int64_t cols)
{
    size_t best = 0;
    for (size_t i = 1; i < (size_t)cols; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

static const char *const head_names[] = {
    [HEAD_NONE] = "none",   [HEAD_SEQUENCE] = "sequence",
    [HEAD_TOKEN] = "token", [HEAD_MASKED_LM] = "masked_lm",
    [HEAD_QA] = "qa",
};

static void write_rows(struct jsonw *w, const struct encoder_out *out)
{
    jsonw_arr(w);
    for (int64_t r = 0; r < out->rows; r++) {
        jsonw_arr(w);
        for (int64_t c = 0; c < out->cols; c++)
            jsonw_f32(w, out->v[r * out->cols + c]);
        jsonw_end(w);
    }
    jsonw_end(w);
}

/* {"head", "ids", "logits" (one row for sequences), "labels"; "start"/"end" for QA;
 * "label" (sequence), "predicted" (token: labels, masked LM: ids) } */
static void write_json(struct jsonw *w, const struct run *r, enum encoder_head head)
{
    const struct model *m = r->l.model;
    const struct encoder_out *out = &r->out;
    jsonw_obj(w);
    jsonw_kstr(w, "head", str_from(head_names[head]));
    jsonw_key(w, "ids");
    jsonw_arr(w);
    for (size_t i = 0; i < r->ids.n; i++)
        jsonw_int(w, r->ids.id[i]);
    jsonw_end(w);
    if (head == HEAD_QA) {
        for (int64_t c = 0; c < 2; c++) {
            jsonw_key(w, c ? "end" : "start");
            jsonw_arr(w);
            for (int64_t i = 0; i < out->rows; i++)
                jsonw_f32(w, out->v[i * out->cols + c]);
            jsonw_end(w);
        }
    } else if (head == HEAD_SEQUENCE) {
        jsonw_key(w, "logits");
        jsonw_arr(w);
        for (int64_t c = 0; c < out->cols; c++)
            jsonw_f32(w, out->v[c]);
        jsonw_end(w);
    } else {
        jsonw_key(w, "logits");
        write_rows(w, out);
    }
    if (head == HEAD_SEQUENCE || head == HEAD_TOKEN) {
        jsonw_key(w, "labels");
        jsonw_arr(w);
        for (size_t i = 0; i < encoder_n_labels(m); i++)
            jsonw_str(w, encoder_label(m, i));
        jsonw_end(w);
    }
    if (head == HEAD_SEQUENCE)
        jsonw_kstr(w, "label", encoder_label(m, best_of(out->v, out->cols)));
    if (head == HEAD_TOKEN || head == HEAD_MASKED_LM) {
        jsonw_key(w, "predicted");
        jsonw_arr(w);
        for (int64_t i = 0; i < out->rows; i++) {
            size_t best = best_of(out->v + i * out->cols, out->cols);
            if (head == HEAD_TOKEN)
                jsonw_str(w, encoder_label(m, best));
            else
                jsonw_int(w, (int64_t)best);
        }
        jsonw_end(w);
    }
    jsonw_end(w);
}

static void print_people(const struct run *r, enum encoder_head head)
{
    const struct encoder_out *out = &r->out;
    const struct model *m = r->l.model;
    const struct tokenizer *tok = model_tokenizer(m);
    if (head == HEAD_SEQUENCE) {
        for (int64_t i = 0; i < out->cols; i++)
            printf("%-20.*s %.4f\n", STR_ARG(encoder_label(m, (size_t)i)), (double)out->v[i]);
    } else if (head == HEAD_QA) {
        /* the best span with start <= end, as Hugging Face's pipeline takes it */
        int64_t from = 0, to = 0;
        for (int64_t i = 0; i < out->rows; i++)
            for (int64_t j = i; j < out->rows && j < i + 30; j++)
                if (out->v[i * 2] + out->v[j * 2 + 1] > out->v[from * 2] + out->v[to * 2 + 1]) {
                    from = i;
                    to = j;
                }
        struct buf span;
        struct err ignored;
        buf_init(&span, 1 << 20);
        if (tokenizer_decode(tok, r->ids.id + from, (size_t)(to - from + 1), true, &span,
                             &ignored) == OK)
            print_line(&span);
        buf_release(&span);
    } else {
        for (int64_t i = 0; i < out->rows; i++) {
            size_t best = best_of(out->v + i * out->cols, out->cols);
            struct str word =
                head == HEAD_TOKEN ? encoder_label(m, best) : tokenizer_piece(tok, (int32_t)best);
            printf("%-20.*s %.*s\n", STR_ARG(tokenizer_piece(tok, r->ids.id[i])), STR_ARG(word));
        }
    }
}

enum status cmd_classify(const struct options *o, struct err *err)
{
    struct run r;
    struct buf out;
    struct jsonw w;
    enum encoder_head head = HEAD_NONE;
    buf_init(&out, (size_t)1 << 30);
    enum status s = open_encoder(&r, o, err);
    if (s == OK) {
        head = encoder_head(r.l.model);
        if (head == HEAD_NONE)
            s = err_set(err, EUNSUPPORTED, "'%s' has no head, expected one (see 'hearth embed')",
                        o->args[0]);
    }
    if (s == OK)
        s = run_text(&r, o, head, err);
    if (s == OK && o->json) {
        jsonw_init(&w, &out, 0);
        write_json(&w, &r, head);
        s = buf_check(&out, "output", err);
        if (s == OK)
            print_line(&out);
    } else if (s == OK) {
        print_people(&r, head);
    }
    run_release(&r);
    buf_release(&out);
    return s;
}

static const struct {
    const char *name;
    enum pooling how;
} poolings[] = {{"mean", POOL_MEAN}, {"cls", POOL_CLS}, {"last", POOL_LAST}};

/* --pooling as one of the names; -1: not given. */
static enum status pooling_from(const struct options *o, int *how, struct err *err)
{
    *how = -1;
    if (!o->pooling)
        return OK;
    for (size_t i = 0; i < sizeof poolings / sizeof *poolings; i++)
        if (strcmp(o->pooling, poolings[i].name) == 0)
            *how = (int)poolings[i].how;
    return *how >= 0
               ? OK
               : err_set(err, EUSAGE, "--pooling: '%s', expected mean, cls or last", o->pooling);
}

/* The text's embedding, n floats that the caller frees. given: --pooling's, or -1. */
static enum status embed_text(struct run *r, const struct options *o, bool decoder, int given,
                              float **v, int64_t *n, struct err *err)
{
    struct model_info info;
    enum pooling how = POOL_MEAN;
    enum status s = OK;
    model_info(r->l.model, &info);
    *n = info.n_embd;
    *v = mem_array((size_t)info.n_embd, sizeof **v);
    if (!*v)
        return err_set(err, ENOMEMORY, "embed: no memory");
    if (given >= 0)
        how = (enum pooling)given;
    else
        s = model_pooling(r->l.model, &how, NULL, err);
    if (s == OK && decoder && o->pair)
        s = err_set(err, EUSAGE, "--pair: '%s' is a decoder, expected an encoder", o->args[0]);
    if (s == OK && decoder)
        s = load_engine(&r->l, o, err);
    if (s == OK && decoder)
        s = read_ids(r, o, err);
    if (s == OK && decoder)
        return engine_embed(r->l.engine, r->ids.id, r->ids.n, how, !o->no_normalize, *v, err);
    if (s == OK)
        s = run_text(r, o, HEAD_NONE, err);
    if (s == OK)
        encoder_pool(&r->out, how, !o->no_normalize, *v);
    return s;
}

/* --json: {"embedding": [...], "tokens": n}; else one number a line. */
enum status cmd_embed(const struct options *o, struct err *err)
{
    struct run r;
    struct buf out;
    struct jsonw w;
    int how;
    bool decoder;
    int64_t n = 0;
    float *v = NULL;
    buf_init(&out, (size_t)1 << 30);
    enum status s = pooling_from(o, &how, err);
    if (s != OK)
        return s;
    s = open_any(&r, o, &decoder, err);
    if (s == OK)
        s = embed_text(&r, o, decoder, how, &v, &n, err);
    if (s == OK) {
        jsonw_init(&w, &out, 0);
        jsonw_obj(&w);
        jsonw_key(&w, "embedding");
        jsonw_arr(&w);
        for (int64_t i = 0; i < n; i++)
            jsonw_f32(&w, v[i]);
        jsonw_end(&w);
        jsonw_kint(&w, "tokens", (int64_t)r.ids.n);
        jsonw_end(&w);
        s = buf_check(&out, "output", err);
    }
    if (s == OK && o->json)
        print_line(&out);
    for (int64_t i = 0; s == OK && !o->json && i < n; i++)
        printf("%.9g\n", (double)v[i]);
    free(v);
    run_release(&r);
    buf_release(&out);
    return s;
}
