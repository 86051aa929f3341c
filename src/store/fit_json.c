/* hearth fit --json and GET /api/fit. */
#include "store/fit.h"
#include "base/jsonw.h"
#include "base/show.h"

/* A number that is not known is null. */
static void put_known(struct jsonw *w, const char *key, double v)
{
    jsonw_key(w, key);
    if (v > 0)
        jsonw_num(w, v);
    else
        jsonw_null(w);
}

static void put_pair(struct jsonw *w, const char *key, uint64_t f16, uint64_t q8)
{
    jsonw_key(w, key);
    jsonw_obj(w);
    jsonw_kint(w, "f16", (int64_t)f16);
    jsonw_kint(w, "q8", (int64_t)q8);
    jsonw_end(w);
}

static void put_row(struct jsonw *w, const struct fit_row *row)
{
    jsonw_obj(w);
    jsonw_kstr(w, "quantization", str_from(row->recipe->name));
    jsonw_kbool(w, "fits", row->fits);
    jsonw_kint(w, "weight_bytes", (int64_t)row->weight_bytes);
    jsonw_kint(w, "file_bytes", (int64_t)row->file_bytes);
    jsonw_kint(w, "memory_bytes", (int64_t)row->memory);
    jsonw_kint(w, "context", row->ctx);
    put_pair(w, "kv_bytes", row->kv_f16, row->kv_q8);
    put_pair(w, "max_context", (uint64_t)row->max_ctx_f16, (uint64_t)row->max_ctx_q8);
    put_known(w, "decode_tok_s", row->decode_tok_s);
    put_known(w, "prefill_tok_s", row->prefill_tok_s);
    jsonw_end(w);
}

static void put_model(struct jsonw *w, const struct fit *f, const struct fit_request *r)
{
    const struct catalog_model *m = f->model;
    jsonw_obj(w);
    jsonw_kstr(w, "name", str_from(m->name));
    jsonw_key(w, "ollama");
    if (*m->ollama)
        jsonw_str(w, str_from(m->ollama));
    else
        jsonw_null(w);
    jsonw_kstr(w, "huggingface", str_from(m->hf));
    jsonw_kstr(w, "kind", f->encoder ? STR("encoder") : STR("decoder"));
    jsonw_kint(w, "parameters", synth_params(f->shape));
    jsonw_kint(w, "trained_context", m->trained_ctx);
    jsonw_kstr(w, "licence", str_from(m->licence));
    jsonw_key(w, "good_for");
    jsonw_arr(w);
    for (int i = 0; catalog_use_name(i); i++)
        if (m->uses & 1u << i)
            jsonw_str(w, str_from(catalog_use_name(i)));
    jsonw_end(w);
    jsonw_kstr(w, "fits", str_from(fit_verdict_name(f->verdict)));
    jsonw_key(w, "choice");
    put_row(w, &f->row[f->chosen]);
    if (r->all) {
        jsonw_key(w, "quantizations");
        jsonw_arr(w);
        for (int i = 0; i < f->n; i++)
            put_row(w, &f->row[i]);
        jsonw_end(w);
    }
    jsonw_end(w);
}

static enum status put_device(struct jsonw *w, const struct fit_device *d,
                              const struct fit_request *r, int *found, struct err *err)
{
    enum status s = OK;
    jsonw_obj(w);
    jsonw_kstr(w, "device", str_from(d->name));
    jsonw_kbool(w, "computes", d->computes);
    jsonw_kint(w, "total_bytes", (int64_t)d->total);
    jsonw_kint(w, "memory_bytes", (int64_t)d->memory);
    jsonw_kstr(w, "memory_source", str_from(d->memory_source));
    put_known(w, "read_gb_s", d->read_gb_s);
    put_known(w, "int8_gop_s", d->int8_gop_s);
    put_known(w, "f32_gop_s", d->f32_gop_s);
    jsonw_kstr(w, "source", str_from(d->source));
    jsonw_key(w, "models");
    jsonw_arr(w);
    for (const struct catalog_model *m = catalog; s == OK && m->name; m++) {
        struct fit f;
        if (!fit_wants(r, m))
            continue;
        s = fit_model(&f, m, d, r, err);
        if (s == OK)
            put_model(w, &f, r);
        ++*found;
    }
    jsonw_end(w);
    jsonw_end(w);
    return s;
}

static void put_shares(struct jsonw *w)
{
    jsonw_key(w, "reached_shares");
    jsonw_obj(w);
    jsonw_knum(w, "decode", FIT_DECODE_SHARE);
    jsonw_knum(w, "kv_cache", FIT_KV_SHARE);
    jsonw_knum(w, "prefill", FIT_PREFILL_SHARE);
    jsonw_end(w);
}

enum status fit_write_json(struct buf *out, const struct fit_machine *m,
                           const struct fit_request *r, struct err *err)
{
    struct jsonw w;
    int found = 0;
    enum status s = OK;
    jsonw_init(&w, out, 2);
    jsonw_obj(&w);
    jsonw_key(&w, "tier");
    if (r->tier)
        jsonw_str(&w, str_from(r->tier->name));
    else
        jsonw_null(&w);
    jsonw_kstr(&w, "kv", r->kv == KV_Q8 ? STR("q8") : STR("f16"));
    jsonw_knum(&w, "usable_tok_s", r->speed);
    put_shares(&w);
    if (m->n > 1)
        jsonw_kstr(&w, "note",
                   STR("this version computes on the CPU; a GPU's speeds are predictions from its "
                       "bandwidth alone"));
    jsonw_key(&w, "devices");
    jsonw_arr(&w);
    for (int i = 0; s == OK && i < m->n; i++)
        s = put_device(&w, &m->device[i], r, &found, err);
    jsonw_end(&w);
    jsonw_end(&w);
    if (s == OK && !found)
        s = err_set(err, ENOTFOUND, "no model of the catalogue is called '%s'",
                    show(str_from(r->model)).s);
    return s == OK ? buf_check(out, "fit", err) : s;
}
