/* An open adapter as a GGUF file: the pairs are bound to the model's matrices already, rows in the
 * model's order, so what is left is to name them. One alpha serves the whole file; pairs of another
 * strength have the ratio multiplied into B. */
#include "engine/lora_int.h"
#include "base/mem.h"
#include "format/gguf.h"
#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 256, PART = 4096 };

/* The pairs of one GGUF tensor: several where queries, keys and values (or gate and up) are one. */
struct target {
    const struct tensor_rule *rule; /* the first of them */
    const struct lora_pair *pair;
    int64_t layer, rows; /* of the whole tensor */
};

/* Of the rules for one place, that whose tensor the model's file has. */
static bool counts(const struct model *m, const struct tensor_rule *r, int64_t layer)
{
    char name[NAME_BYTES];
    uint32_t f = m->hp.features;
    return r->scope == PER_LAYER && r->kind == RULE_MAT && r->gguf && (f & r->when) == r->when &&
           !(f & r->unless) &&
           gguf_tensor(m->gguf, rule_name(name, sizeof name, NULL, r->gguf, layer, 0));
}

static const struct lora_pair *pair_of(const struct lora *l, const struct tensor_rule *r,
                                       int64_t layer)
{
    const struct lora_pair *p = &l->pairs[layer * LAYER_MATS + r->place];
    return p->a.data ? p : NULL;
}

/* The strength that belongs to B's values as they are. */
static double alpha_of(const struct lora_pair *p)
{
    return (double)p->scale * (double)p->a.rows;
}

static void put_floats(struct gguf_writer *w, const struct mat *t, double factor)
{
    float row[PART];
    for (int64_t r = 0; r < t->rows; r++) {
        const unsigned char *src = (const unsigned char *)t->data + (size_t)r * t->row_bytes;
        const struct qtype_info *q = qtype_info(t->type);
        for (int64_t at = 0, n; at < t->cols; at += n) {
            n = t->cols - at < PART ? t->cols - at : PART;
            q->dequantize(src + (size_t)(at / q->block_elems) * q->block_bytes, row, n);
            for (int64_t i = 0; factor != 1 && i < n; i++)
                row[i] = (float)((double)row[i] * factor);
            gguf_write_data(w, row, (size_t)n * sizeof *row);
        }
    }
}

/* All rules of the layer that lie in the target's tensor, in the order of their rows. */
static enum status put_up(struct gguf_writer *w, const struct lora *l, const struct target *t,
                          double alpha, struct err *err)
{
    const struct arch *arch = l->m->hp.arch;
    int64_t row = 0;
    while (row < t->rows) {
        const struct lora_pair *found = NULL;
        for (size_t i = 0; i < arch->n_rules && !found; i++) {
            const struct tensor_rule *r = &arch->rules[i];
            if (counts(l->m, r, t->layer) && strcmp(r->gguf, t->rule->gguf) == 0 &&
                dim_value(&l->m->hp, r->first) == row)
                found = pair_of(l, r, t->layer);
        }
        if (!found || found->b.rows <= 0 || found->a.rows != t->pair->a.rows)
            return err_set(err, EUNSUPPORTED, "layer %lld: only a part of '%s' is adapted",
                           (long long)t->layer, t->rule->gguf);
        put_floats(w, &found->b, alpha_of(found) / alpha);
        row += found->b.rows;
    }
    return OK;
}

static size_t find_targets(const struct lora *l, struct target *out)
{
    const struct hparams *hp = &l->m->hp;
    size_t n = 0;
    for (int64_t layer = 0; layer < hp->n_layers; layer++)
        for (size_t i = 0; i < hp->arch->n_rules; i++) {
            const struct tensor_rule *r = &hp->arch->rules[i];
            const struct lora_pair *p = counts(l->m, r, layer) ? pair_of(l, r, layer) : NULL;
            bool again = false;
            for (size_t k = n; p && k-- > 0 && out[k].layer == layer;)
                again |= strcmp(out[k].rule->gguf, r->gguf) == 0;
            if (p && !again)
                out[n++] = (struct target){
                    r, p, layer, r->total == D_NONE ? p->b.rows : dim_value(hp, r->total)};
        }
    return n;
}

static void declare(struct gguf_writer *w, const struct target *t)
{
    char buf[NAME_BYTES], name[NAME_BYTES + 16];
    struct str base = rule_name(buf, sizeof buf, NULL, t->rule->gguf, t->layer, 0);
    const int64_t a[] = {t->pair->a.cols, t->pair->a.rows}, b[] = {t->pair->a.rows, t->rows};
    snprintf(name, sizeof name, "%.*s.lora_a", STR_ARG(base));
    gguf_put_tensor(w, str_from(name), QT_F32, 2, a);
    snprintf(name, sizeof name, "%.*s.lora_b", STR_ARG(base));
    gguf_put_tensor(w, str_from(name), QT_F32, 2, b);
}

static enum status write_all(struct gguf_writer *w, const struct lora *l, const struct target *t,
                             size_t n, struct err *err)
{
    double alpha = alpha_of(t[0].pair);
    enum status s = OK;
    gguf_put_str(w, "general.type", STR("adapter"));
    gguf_put_str(w, "general.architecture", str_from(l->m->hp.arch->name));
    gguf_put_str(w, "adapter.type", STR("lora"));
    gguf_put_f32(w, "adapter.lora.alpha", (float)alpha);
    for (size_t i = 0; i < n; i++)
        declare(w, &t[i]);
    gguf_write_header(w);
    for (size_t i = 0; i < n && s == OK; i++) {
        put_floats(w, &t[i].pair->a, 1);
        s = put_up(w, l, &t[i], alpha, err);
    }
    return s;
}

enum status lora_write(const struct lora *l, const char *out, struct err *err)
{
    struct gguf_writer *w;
    size_t max = (size_t)l->m->hp.n_layers * LAYER_MATS;
    struct target *t = mem_array(max, sizeof *t);
    if (l->m->hp.features & F_HF) {
        free(t);
        return err_set(err, EUSAGE, "an adapter is written for a GGUF model, not a folder");
    }
    size_t n = t ? find_targets(l, t) : 0;
    enum status s = !t  ? err_set(err, ENOMEMORY, "no memory for an adapter")
                    : n ? gguf_writer_open(&w, out, err)
                        : err_set(err, EFORMAT, "the adapter has no tensors");
    if (s == OK) {
        s = alpha_of(t[0].pair) != 0 ? write_all(w, l, t, n, err)
                                     : err_set(err, EUNSUPPORTED, "the adapter's strength is 0");
        if (s == OK)
            s = gguf_writer_commit(w, err);
        else
            gguf_writer_abort(w);
    }
    free(t);
    return s;
}
