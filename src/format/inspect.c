/* One listing for both formats and both forms: what a file is made of goes through put_* functions,
 * which write JSON or a row of a table. Names and values come from untrusted files: text goes
 * through show(), JSON through jsonw. */
#include "format/inspect.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "base/show.h"
#include "format/gguf_int.h"
#ifndef HEARTH_ENGINE_ONLY
#include "format/safetensors.h"
#endif
#include <inttypes.h>
#include <stdlib.h>

/* ---- GGUF values, walked where they lie ---- */

struct value {
    enum gguf_type type;
    const unsigned char *p; /* content, after a string's length or an array's head */
    uint64_t n;             /* bytes of a string, elements of an array */
    enum gguf_type elem;    /* of an array */
};

/* Reads the element of that type at *p (an array's content, checked when opened) and moves on. */
static struct value next_value(enum gguf_type type, const unsigned char **p)
{
    struct value v = {.type = type, .p = *p};
    if (type == GGUF_STRING) {
        memcpy(&v.n, *p, sizeof v.n);
        v.p = *p + sizeof v.n;
        *p = v.p + v.n;
    } else if (type == GGUF_ARRAY) {
        uint32_t elem;
        memcpy(&elem, *p, sizeof elem);
        memcpy(&v.n, *p + sizeof elem, sizeof v.n);
        v.elem = (enum gguf_type)elem;
        v.p = *p + sizeof elem + sizeof v.n;
        *p = v.p;
        for (uint64_t i = 0; i < v.n; i++)
            next_value(v.elem, p);
    } else {
        *p += gguf_type_bytes(type);
    }
    return v;
}

static struct value kv_value(const struct gguf_kv *kv)
{
    return (struct value){.type = kv->type,
                          .p = kv->p,
                          .n = kv->type == GGUF_STRING ? kv->bytes : kv->n,
                          .elem = kv->elem_type};
}

static void json_value(struct jsonw *w, struct value v, size_t max_items)
{
    uint64_t u = 0;
    float f;
    double d;
    memcpy(&u, v.p, gguf_type_bytes(v.type));
    switch (v.type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64: jsonw_uint(w, u); break;
    case GGUF_I8: jsonw_int(w, (int8_t)u); break;
    case GGUF_I16: jsonw_int(w, (int16_t)u); break;
    case GGUF_I32: jsonw_int(w, (int32_t)u); break;
    case GGUF_I64: jsonw_int(w, (int64_t)u); break;
    case GGUF_BOOL: jsonw_bool(w, u != 0); break;
    case GGUF_F32:
        memcpy(&f, v.p, sizeof f);
        jsonw_f32(w, f);
        break;
    case GGUF_F64:
        memcpy(&d, v.p, sizeof d);
        jsonw_num(w, d);
        break;
    case GGUF_STRING: jsonw_str(w, (struct str){(const char *)v.p, (size_t)v.n}); break;
    case GGUF_ARRAY: {
        bool elided = v.n > max_items;
        const unsigned char *p = v.p;
        if (elided) {
            jsonw_obj(w);
            jsonw_kbool(w, "elided", true);
            jsonw_kstr(w, "type", str_from(gguf_type_name(v.elem)));
            jsonw_key(w, "count");
            jsonw_uint(w, v.n);
            jsonw_key(w, "first");
        }
        jsonw_arr(w);
        for (uint64_t i = 0; i < (elided ? max_items : v.n); i++)
            json_value(w, next_value(v.elem, &p), max_items);
        jsonw_end(w);
        if (elided)
            jsonw_end(w);
        break;
    }
    }
}

void inspect_write_value(struct jsonw *w, const struct gguf_kv *kv)
{
    json_value(w, kv_value(kv), SIZE_MAX);
}

/* ---- what both formats come down to ---- */

struct listing {
    bool json;
    size_t max_items;
    struct jsonw w;
    struct buf *out;
    struct buf value; /* scratch: one value as JSON */
    size_t n_tensors, name_width;
    int64_t n_params, n_bytes;
};

static void count_tensor(struct listing *l, const struct tensor *t)
{
    size_t width = strlen(show(t->name).s);
    l->n_tensors++;
    l->n_params += tensor_elems(t);
    l->n_bytes += (int64_t)t->bytes;
    l->name_width = width > l->name_width ? width : l->name_width;
}

static void put_totals(struct listing *l)
{
    if (l->json) {
        jsonw_kint(&l->w, "n_tensors", (int64_t)l->n_tensors);
        jsonw_kint(&l->w, "n_params", l->n_params);
        jsonw_kint(&l->w, "n_bytes", l->n_bytes);
        jsonw_key(&l->w, "tensors");
        jsonw_arr(&l->w);
        return;
    }
    buf_printf(l->out, "\n%zu tensors, %" PRId64 " parameters, %.1f MB\n", l->n_tensors,
               l->n_params, (double)l->n_bytes / 1e6);
}

/* reversed: shapes outermost first, as safetensors has them. offset: -1 for none. */
static void put_tensor(struct listing *l, const struct tensor *t, bool reversed, int64_t offset)
{
    const char *type = qtype_info(t->type)->name;
    char shape[TENSOR_DIMS * 24] = "";
    size_t n = 0;
    if (l->json) {
        jsonw_obj(&l->w);
        jsonw_kstr(&l->w, "name", t->name);
        jsonw_kstr(&l->w, "type", str_from(type));
        jsonw_key(&l->w, "shape");
        jsonw_arr(&l->w);
    }
    for (int d = 0; d < t->n_dims; d++) {
        int64_t ne = t->ne[reversed ? t->n_dims - 1 - d : d];
        if (l->json)
            jsonw_int(&l->w, ne);
        else
            n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%" PRId64, d ? " x " : "", ne);
    }
    if (l->json) {
        jsonw_end(&l->w);
        jsonw_kint(&l->w, "bytes", (int64_t)t->bytes);
        if (offset >= 0)
            jsonw_kint(&l->w, "offset", offset);
        jsonw_end(&l->w);
        return;
    }
    buf_printf(l->out, "%-*s  %-6s  %22s  %12zu\n", (int)l->name_width, show(t->name).s, type,
               shape, t->bytes);
}

static void put_kv_text(struct listing *l, struct str key, const char *type)
{
    buf_printf(l->out, "%-*s  %-12s  %s\n", (int)l->name_width, show(key).s, type,
               show(buf_str(&l->value)).s);
}

static void begin(struct listing *l, const char *format, int64_t version)
{
    jsonw_init(&l->w, l->out, 2);
    if (!l->json) {
        buf_printf(l->out, "%s", format);
        buf_printf(l->out, version ? " version %" PRId64 "\n\n" : "\n\n", version);
        return;
    }
    jsonw_obj(&l->w);
    jsonw_kstr(&l->w, "format", str_from(format));
    if (version)
        jsonw_kint(&l->w, "version", version);
    jsonw_key(&l->w, "metadata");
    jsonw_obj(&l->w);
}

static void end(struct listing *l)
{
    if (l->json) {
        jsonw_end(&l->w);
        jsonw_end(&l->w);
        buf_addc(l->out, '\n');
    }
}

/* ---- GGUF ---- */

static void list_gguf_kv(struct listing *l, const struct gguf_kv *kv)
{
    struct value v = kv_value(kv);
    if (l->json) {
        jsonw_keyn(&l->w, kv->key);
        json_value(&l->w, v, l->max_items);
        return;
    }
    char type[48];
    const unsigned char *p = v.p;
    buf_clear(&l->value);
    if (v.type == GGUF_ARRAY) {
        snprintf(type, sizeof type, "%s[%" PRIu64 "]", gguf_type_name(v.elem), v.n);
        for (uint64_t i = 0; i < v.n && l->value.n < SHOW_MAX; i++) {
            struct jsonw item;
            jsonw_init(&item, &l->value, 0);
            buf_adds(&l->value, i ? ", " : "");
            json_value(&item, next_value(v.elem, &p), 4);
        }
    } else if (v.type == GGUF_STRING) {
        snprintf(type, sizeof type, "string");
        buf_add(&l->value, v.p, (size_t)(v.n < 2 * SHOW_MAX ? v.n : 2 * SHOW_MAX));
    } else {
        struct jsonw item;
        snprintf(type, sizeof type, "%s", gguf_type_name(v.type));
        jsonw_init(&item, &l->value, 0);
        json_value(&item, v, 0);
    }
    put_kv_text(l, kv->key, type);
}

/* From the start of the data area of the part that holds the tensor. */
static int64_t data_offset(const struct gguf *g, const struct tensor *t)
{
    uintptr_t p = (uintptr_t)t->data;
    for (size_t i = 0; i < g->n_parts; i++) {
        uintptr_t from = (uintptr_t)g->parts[i].data;
        if (p >= from && p <= (uintptr_t)g->parts[i].p + g->parts[i].n)
            return (int64_t)(p - from);
    }
    return -1;
}

static enum status list_gguf(struct listing *l, const char *path, struct err *err)
{
    struct gguf *g;
    enum status s = gguf_open(&g, path, err);
    if (s != OK)
        return s;
    begin(l, "gguf", gguf_version(g));
    for (size_t i = 0; i < g->n_kv; i++) {
        size_t width = strlen(show(g->kv[i].key).s);
        l->name_width = width > l->name_width ? width : l->name_width;
    }
    for (size_t i = 0; i < g->n_kv; i++)
        list_gguf_kv(l, &g->kv[i]);
    if (l->json)
        jsonw_end(&l->w);
    for (size_t i = 0; i < g->n_tensors; i++)
        count_tensor(l, &g->tensors[i]);
    put_totals(l);
    for (size_t i = 0; i < g->n_tensors; i++)
        put_tensor(l, &g->tensors[i], false, data_offset(g, &g->tensors[i]));
    end(l);
    gguf_close(g);
    return OK;
}

/* ---- safetensors ---- */

#ifndef HEARTH_ENGINE_ONLY
static enum status list_safetensors(struct listing *l, const char *path, struct err *err)
{
    struct safetensors *f;
    struct str key, value;
    enum status s = safetensors_open(&f, path, err);
    if (s != OK)
        return s;
    begin(l, "safetensors", 0);
    l->name_width = 16;
    for (size_t i = 0; safetensors_metadata_at(f, i, &key, &value); i++) {
        if (l->json) {
            jsonw_keyn(&l->w, key);
            jsonw_str(&l->w, value);
        } else {
            buf_clear(&l->value);
            buf_add(&l->value, value.p, value.n < 2 * SHOW_MAX ? value.n : 2 * SHOW_MAX);
            put_kv_text(l, key, "string");
        }
    }
    if (l->json)
        jsonw_end(&l->w);
    size_t n = safetensors_n_tensors(f);
    for (size_t i = 0; i < n; i++)
        count_tensor(l, safetensors_tensor_at(f, i));
    put_totals(l);
    for (size_t i = 0; i < n; i++)
        put_tensor(l, safetensors_tensor_at(f, i), true, -1);
    end(l);
    safetensors_close(f);
    return OK;
}

/* The index or the file inside a Hugging Face folder. */
static enum status list_folder(struct listing *l, const char *path, struct err *err)
{
    static const char *const names[] = {"model.safetensors.index.json", "model.safetensors",
                                        "adapter_model.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[4096];
        int n = snprintf(file, sizeof file, "%s/%s", path, names[i]);
        if (n > 0 && (size_t)n < sizeof file && file_exists(file))
            return list_safetensors(l, file, err);
    }
    return err_set(err, ENOTFOUND, "'%s' has no model.safetensors, nor its index",
                   show(str_from(path)).s);
}
#endif

static bool is_gguf(const char *path)
{
    char magic[4] = "";
    FILE *f = fopen(path, "rbe");
    bool yes = f && fread(magic, 1, sizeof magic, f) == sizeof magic &&
               memcmp(magic, "GGUF", sizeof magic) == 0;
    if (f)
        fclose(f);
    return yes;
}

enum status inspect_write_items(const char *path, bool json, size_t max_items, struct buf *out,
                                struct err *err)
{
    struct listing l = {.json = json, .max_items = max_items, .out = out};
    buf_init(&l.value, 1 << 20);
    enum status s;
#ifndef HEARTH_ENGINE_ONLY
    struct str name = str_from(path);
    if (file_is_dir(path))
        s = list_folder(&l, path, err);
    else if (!is_gguf(path) &&
             (str_ends(name, STR(".safetensors")) || str_ends(name, STR(".json"))))
        s = list_safetensors(&l, path, err);
    else
#endif
        s = list_gguf(&l, path, err);
    buf_release(&l.value);
    return s == OK ? buf_check(out, path, err) : s;
}

enum status inspect_write(const char *path, bool json, struct buf *out, struct err *err)
{
    return inspect_write_items(path, json, INSPECT_ITEMS, out, err);
}
