#include "store/info.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/show.h"
#include "engine/arch.h"
#include "format/gguf.h"
#include "format/inspect.h"
#include "store/modelfile.h"
#include "store/params.h"
#include "text/gotmpl_chat.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { LONG_ARRAY = 5 };

/* ---- a GGUF's header ---- */

/* general.file_type as llama.cpp counts them. */
static const struct {
    int64_t id;
    const char *name;
} file_types[] = {
    {0, "F32"},      {1, "F16"},      {2, "Q4_0"},    {3, "Q4_1"},    {7, "Q8_0"},
    {8, "Q5_0"},     {9, "Q5_1"},     {10, "Q2_K"},   {11, "Q3_K_S"}, {12, "Q3_K_M"},
    {13, "Q3_K_L"},  {14, "Q4_K_S"},  {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},
    {18, "Q6_K"},    {19, "IQ2_XXS"}, {20, "IQ2_XS"}, {21, "Q2_K_S"}, {22, "IQ3_XS"},
    {23, "IQ3_XXS"}, {24, "IQ1_S"},   {25, "IQ4_NL"}, {26, "IQ3_S"},  {27, "IQ3_M"},
    {28, "IQ2_S"},   {29, "IQ2_M"},   {30, "IQ4_XS"}, {31, "IQ1_M"},  {32, "BF16"},
    {36, "TQ1_0"},   {37, "TQ2_0"},   {38, "MXFP4"},
};

static void upper(char *z)
{
    for (; *z; z++)
        *z = (char)toupper((unsigned char)*z);
}

/* The type that most bytes have. */
static void main_type(const struct gguf *g, char *out, size_t size)
{
    size_t bytes[QT_COUNT] = {0};
    enum qtype most = QT_F32;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct tensor *t = gguf_tensor_at(g, i);
        bytes[t->type] += t->bytes;
        if (bytes[t->type] > bytes[most])
            most = t->type;
    }
    snprintf(out, size, "%s", qtype_info(most)->name);
    upper(out);
}

enum status gguf_facts(const struct gguf *g, struct gguf_facts *out, struct err *err)
{
    struct str type;
    int64_t file_type;
    *out = (struct gguf_facts){.kind = LAYER_MODEL};
    enum status s = gguf_get_str(g, "general.architecture", &out->arch, err);
    if (s == OK)
        s = gguf_get_str(g, "general.type", &type, err);
    if (s == OK)
        s = gguf_get_int(g, "general.file_type", &file_type, -1, err);
    if (s != OK)
        return s;
    if (!out->arch.p)
        return err_set(err, EFORMAT, "no general.architecture in the GGUF file");
    if (type.p && str_is(type, "adapter"))
        out->kind = LAYER_ADAPTER;
    else if (str_is(out->arch, "clip") || (type.p && str_is(type, "mmproj")))
        out->kind = LAYER_PROJECTOR;
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        out->n_params += tensor_elems(gguf_tensor_at(g, i));
    for (size_t i = 0; i < sizeof file_types / sizeof *file_types; i++)
        if (file_types[i].id == file_type)
            snprintf(out->type, sizeof out->type, "%s", file_types[i].name);
    if (!out->type[0])
        main_type(g, out->type, sizeof out->type);
    return OK;
}

/* ---- details ---- */

static void details_from_gguf(struct info_details *d, const struct gguf_facts *f)
{
    snprintf(d->format, sizeof d->format, "gguf");
    snprintf(d->family, sizeof d->family, "%s", show(f->arch).s);
    human_count((uint64_t)f->n_params, d->parameter_size, sizeof d->parameter_size);
    snprintf(d->quantization, sizeof d->quantization, "%s", f->type);
}

static bool copy_field(const json_t *o, const char *key, char *out, size_t size)
{
    struct str v;
    if (json_get_str(o, key, &v, NULL) != OK || !v.p || v.n == 0 || v.n >= size)
        return false;
    snprintf(out, size, "%s", show(v).s);
    return true;
}

/* What the config says; false when it does not say all. */
static bool details_from_config(struct info_details *d, const struct store_model *m)
{
    json_t *o;
    if (!m->config_json.p || json_parse(&o, m->config_json, "config", NULL) != OK)
        return false;
    bool all = json_is_object(o) && copy_field(o, "model_family", d->family, sizeof d->family) &&
               copy_field(o, "model_type", d->parameter_size, sizeof d->parameter_size) &&
               copy_field(o, "file_type", d->quantization, sizeof d->quantization);
    json_decref(o);
    snprintf(d->format, sizeof d->format, "gguf");
    return all;
}

enum status info_details(struct info_details *out, const struct store_model *m, struct err *err)
{
    struct gguf *g;
    struct gguf_facts f;
    *out = (struct info_details){0};
    if (details_from_config(out, m))
        return OK;
    enum status s = gguf_open(&g, m->model_path, err);
    if (s != OK)
        return s;
    s = gguf_facts(g, &f, err);
    if (s == OK)
        details_from_gguf(out, &f);
    gguf_close(g);
    return s;
}

void info_write_details(struct jsonw *w, const struct info_details *d)
{
    jsonw_obj(w);
    jsonw_kstr(w, "parent_model", STR(""));
    jsonw_kstr(w, "format", str_from(d->format));
    jsonw_kstr(w, "family", str_from(d->family));
    jsonw_key(w, "families");
    jsonw_arr(w);
    jsonw_str(w, str_from(d->family));
    jsonw_end(w);
    jsonw_kstr(w, "parameter_size", str_from(d->parameter_size));
    jsonw_kstr(w, "quantization_level", str_from(d->quantization));
    jsonw_end(w);
}

/* ---- capabilities ---- */

static const char *const capability_names[] = {"completion", "tools", "insert", "thinking",
                                               "embedding"};

const char *capability_name(unsigned capabilities, size_t i)
{
    for (size_t bit = 0; bit < sizeof capability_names / sizeof *capability_names; bit++)
        if (capabilities & 1u << bit && i-- == 0)
            return capability_names[bit];
    return NULL;
}

void info_write_capabilities(struct jsonw *w, unsigned capabilities)
{
    const char *name;
    jsonw_arr(w);
    for (size_t i = 0; (name = capability_name(capabilities, i)); i++)
        jsonw_str(w, str_from(name));
    jsonw_end(w);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* word stands in text by itself; in Jinja not as an attribute or in quotes. */
static bool has_word(struct str text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text.p, *end = text.p + text.n;
         (p = memmem(p, (size_t)(end - p), word, n)); p += n) {
        char before = p > text.p ? p[-1] : ' ', after = p + n < end ? p[n] : ' ';
        bool apart = !is_word(word[0]) ||
                     (!is_word(before) && before != '.' && before != '\'' && before != '"');
        if (apart && !is_word(after))
            return true;
    }
    return false;
}

unsigned template_capabilities(struct str t, bool go)
{
    unsigned can = 0;
    if (!t.p)
        return 0;
    if (has_word(t, go ? ".Tools" : "tools"))
        can |= CAN_TOOLS;
    if (go && has_word(t, ".Suffix"))
        can |= CAN_INSERT;
    static const char *const thinking[2][3] = {{"enable_thinking", "<think", "reasoning_content"},
                                               {".Thinking", ".Think", ".IsThinkSet"}};
    for (size_t i = 0; i < 3; i++)
        if (has_word(t, thinking[go][i]))
            can |= CAN_THINK;
    return can;
}

bool template_is_go(const struct store_model *m)
{
    return m->template_text.p && gotmpl_looks_like(m->template_text);
}

static const struct gguf_kv *find_of_arch(const struct gguf *g, struct str arch, const char *key)
{
    char name[256];
    if (arch.n > 128)
        return NULL;
    snprintf(name, sizeof name, "%.*s.%s", STR_ARG(arch), key);
    return gguf_find(g, name);
}

static bool is_encoder(const struct gguf *g, struct str arch)
{
    const struct arch *a = arch_by_gguf(arch);
    return (a && a->kind == MODEL_ENCODER) || find_of_arch(g, arch, "pooling_type");
}

static unsigned capabilities_of(const struct info *i, struct str arch)
{
    const struct gguf *g = i->gguf;
    if (is_encoder(g, arch))
        return CAN_EMBED;
    unsigned can = CAN_COMPLETE | template_capabilities(i->template_text, i->template_is_go);
    if (gguf_find(g, "tokenizer.ggml.fim_pre_token_id") ||
        gguf_find(g, "tokenizer.ggml.prefix_token_id"))
        can |= CAN_INSERT;
    return can;
}

/* ---- all of it ---- */

static enum status int_of_arch(const struct gguf *g, struct str arch, const char *key, int64_t *out)
{
    char name[256];
    const struct gguf_kv *kv = find_of_arch(g, arch, key);
    *out = 0;
    if (!kv || kv->type == GGUF_ARRAY)
        return OK;
    snprintf(name, sizeof name, "%.*s.%s", STR_ARG(arch), key);
    return gguf_get_int(g, name, out, 0, NULL);
}

enum status info_open(struct info **out, const struct store_model *m, struct err *err)
{
    struct gguf_facts f;
    struct info *i = mem_array(1, sizeof *i);
    *out = NULL;
    if (!i)
        return err_set(err, ENOMEMORY, "no memory for a model's header");
    i->model = m;
    enum status s = gguf_open(&i->gguf, m->model_path, err);
    if (s == OK)
        s = gguf_facts(i->gguf, &f, err);
    if (s == OK && m->template_text.p)
        i->template_text = m->template_text;
    else if (s == OK)
        s = gguf_get_str(i->gguf, "tokenizer.chat_template", &i->template_text, err);
    if (s != OK) {
        info_close(i);
        return err_prefix(err, "'%s'", m->model_path);
    }
    i->details = (struct info_details){0};
    if (!details_from_config(&i->details, m))
        details_from_gguf(&i->details, &f);
    i->n_params = f.n_params;
    i->template_is_go = template_is_go(m);
    if (int_of_arch(i->gguf, f.arch, "context_length", &i->context_length) != OK)
        i->context_length = 0;
    if (int_of_arch(i->gguf, f.arch, "embedding_length", &i->embedding_length) != OK)
        i->embedding_length = 0;
    i->capabilities = capabilities_of(i, f.arch);
    *out = i;
    return OK;
}

void info_close(struct info *i)
{
    if (!i)
        return;
    gguf_close(i->gguf);
    free(i);
}

void info_write_model_info(struct jsonw *w, const struct info *i, bool verbose)
{
    jsonw_obj(w);
    jsonw_kint(w, "general.parameter_count", i->n_params);
    for (size_t k = 0; k < gguf_n_kv(i->gguf); k++) {
        const struct gguf_kv *kv = gguf_kv_at(i->gguf, k);
        if (str_is(kv->key, "general.name") || str_is(kv->key, "tokenizer.chat_template") ||
            str_is(kv->key, "general.parameter_count"))
            continue;
        jsonw_keyn(w, kv->key);
        if (kv->type == GGUF_ARRAY && kv->n > LONG_ARRAY && !verbose)
            jsonw_null(w);
        else
            inspect_write_value(w, kv);
    }
    jsonw_end(w);
}

void info_write_tensors(struct jsonw *w, const struct info *i)
{
    jsonw_arr(w);
    for (size_t k = 0; k < gguf_n_tensors(i->gguf); k++) {
        const struct tensor *t = gguf_tensor_at(i->gguf, k);
        char type[32];
        snprintf(type, sizeof type, "%s", qtype_info(t->type)->name);
        upper(type);
        jsonw_obj(w);
        jsonw_kstr(w, "name", t->name);
        jsonw_kstr(w, "type", str_from(type));
        jsonw_key(w, "shape");
        jsonw_arr(w);
        for (int d = 0; d < t->n_dims; d++)
            jsonw_int(w, t->ne[d]);
        jsonw_end(w);
        jsonw_end(w);
    }
    jsonw_end(w);
}

/* ---- as a Modelfile ---- */

static void put(struct buf *out, enum modelfile_key key, struct str name, struct str value)
{
    struct modelfile_command c = {.key = key, .name = name, .value = value};
    if (value.p)
        (void)modelfile_print(&c, out); /* what cannot be said is told by a comment */
}

static void put_param(struct buf *out, const char *key, const json_t *v)
{
    if (json_is_string(v)) {
        put(out, MF_PARAMETER, str_from(key), json_str(v));
    } else if (json_is_number(v) || json_is_boolean(v)) {
        char *z = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        put(out, MF_PARAMETER, str_from(key), str_from(z));
        free(z);
    }
}

static void put_params(struct buf *out, struct str params)
{
    json_t *o, *v;
    const char *key;
    if (!params.p || json_parse(&o, params, "parameters", NULL) != OK)
        return;
    json_object_foreach(o, key, v)
    {
        if (!param_find(str_from(key)))
            continue; /* another program's: a Modelfile cannot say it */
        for (size_t i = 0; i < json_array_size(v); i++)
            put_param(out, key, json_array_get(v, i));
        if (!json_is_array(v))
            put_param(out, key, v);
    }
    json_decref(o);
}

static void put_messages(struct buf *out, struct str messages)
{
    json_t *a;
    if (!messages.p || json_parse(&a, messages, "messages", NULL) != OK)
        return;
    for (size_t i = 0; i < json_array_size(a); i++) {
        struct str role, content;
        const json_t *m = json_array_get(a, i);
        if (json_get_str(m, "role", &role, NULL) == OK && role.p &&
            json_get_str(m, "content", &content, NULL) == OK && content.p)
            put(out, MF_MESSAGE, role, content);
    }
    json_decref(a);
}

enum status info_modelfile(const struct info *i, struct buf *out, struct err *err)
{
    const struct store_model *m = i->model;
    struct buf name;
    json_t *config = NULL;
    buf_init(&name, 1024);
    name_short(&m->name, &name);
    buf_adds(out, "# Modelfile generated by \"hearth show\"\n");
    if (m->name.model[0]) /* of the store, and no file alone */
        buf_printf(out,
                   "# To build a new Modelfile based on this, replace FROM with:\n# FROM %.*s\n",
                   STR_ARG(buf_str(&name)));
    buf_adds(out, "\n");
    buf_release(&name);
    for (size_t k = 0; k < m->n_layers; k++) {
        const struct store_layer *l = &m->layers[k];
        if (l->kind == LAYER_MODEL || l->kind == LAYER_PROJECTOR)
            put(out, MF_FROM, STR(""), str_from(l->path));
        else if (l->kind == LAYER_ADAPTER)
            put(out, MF_ADAPTER, STR(""), str_from(l->path));
        else if (l->kind == LAYER_DRAFT)
            put(out, MF_DRAFT, STR(""), str_from(l->path));
    }
    put(out, MF_TEMPLATE, STR(""), m->template_text);
    put(out, MF_SYSTEM, STR(""), m->system);
    put_params(out, m->params_json);
    put_messages(out, m->messages_json);
    if (m->config_json.p && json_parse(&config, m->config_json, "config", NULL) == OK) {
        static const struct {
            const char *key;
            enum modelfile_key command;
        } fields[] = {{"renderer", MF_RENDERER}, {"parser", MF_PARSER}, {"requires", MF_REQUIRES}};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
            struct str v;
            if (json_get_str(config, fields[k].key, &v, NULL) == OK && v.n)
                put(out, fields[k].command, STR(""), v);
        }
        json_decref(config);
    }
    for (size_t k = 0; k < m->n_licenses; k++)
        put(out, MF_LICENSE, STR(""), m->licenses[k]);
    return buf_check(out, "Modelfile", err);
}
