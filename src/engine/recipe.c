/* The choice is a table of rules: the first whose recipe, role and condition fit gives the type;
 * where none does, the recipe's main type stands. Why these tensors: attn_v is small and every head
 * of a group reads it; ffn_down carries outliers; output decides the token. The rules (facts about
 * llama.cpp's files) are those of its llama_tensor_get_type, with three of ik_llama.cpp's that cost
 * next to no bytes: EXPERTS from four experts on (llama.cpp: exactly eight), attn_v of GROUPED
 * models one type up in the K recipes, and IQ4_NL in the place of Q2_K and Q3_K (llama.cpp: Q4_0,
 * of the same size). */
#include "engine/recipe.h"
#include "base/buf.h"
#include <stdio.h>
#include <strings.h>

const struct recipe recipes[] = {
    {"f32", QT_F32, 0, "32 bits, exact"},
    {"f16", QT_F16, 1, "16 bits"},
    {"bf16", QT_BF16, 32, "16 bits, as most models are trained"},
    {"q8_0", QT_Q8_0, 7, "8.5 bits, no loss to speak of"},
    {"q6_k", QT_Q6_K, 18, "6.6 bits, very small loss"},
    {"q5_k_m", QT_Q5_K, 17, "5.7 bits, small loss"},
    {"q5_1", QT_Q5_1, 9, "6.0 bits"},
    {"q5_0", QT_Q5_0, 8, "5.5 bits"},
    {"q4_k_m", QT_Q4_K, 15, "4.8 bits, the usual choice"},
    {"q4_k_s", QT_Q4_K, 14, "4.6 bits"},
    {"q4_1", QT_Q4_1, 3, "5.0 bits"},
    {"q4_0", QT_Q4_0, 2, "4.5 bits, fastest"},
    {"iq4_nl", QT_IQ4_NL, 25, "4.5 bits, uneven levels"},
    {"iq4_xs", QT_IQ4_XS, 30, "4.3 bits, uneven levels"},
    {"q3_k_m", QT_Q3_K, 12, "3.9 bits, visible loss"},
    {"q2_k", QT_Q2_K, 10, "3.2 bits, large loss"},
    {NULL, QT_COUNT, 0, NULL},
};

const struct recipe *recipe_by_name(struct str name)
{
    for (const struct recipe *r = recipes; r->name; r++) {
        if (name.n == strlen(r->name) && strncasecmp(name.p, r->name, name.n) == 0)
            return r;
    }
    return NULL;
}

enum status recipe_find(const char *name, const struct recipe **out, struct err *err)
{
    struct buf names;
    *out = recipe_by_name(str_from(name));
    if (*out)
        return OK;
    buf_init(&names, 4096);
    for (const struct recipe *r = recipes; r->name; r++)
        buf_printf(&names, " %s", r->name);
    err_set(err, EUSAGE, "type '%.40s', expected one of%s", name, names.p ? names.p : "");
    buf_release(&names);
    return EUSAGE;
}

enum role { ATTN_V, ATTN_K, ATTN_OUTPUT, FFN_DOWN, OTHER };

enum condition {
    ALWAYS,
    FIRST_TWO,   /* layers 0 and 1 */
    FIRST_FOUR,  /* layers 0 to 3 */
    FIRST_8TH,   /* the first eighth of the layers */
    FIRST_16TH,  /* the first sixteenth */
    SPREAD,      /* first and last eighth, and every third between */
    GROUPED,     /* four or more query heads per key/value head */
    GROUPED_70B, /* 80 layers and GROUPED: attn_v is an eighth of attn_q */
    EXPERTS,     /* four or more: attention is a small part of the file */
    PLAIN_8TH,   /* FIRST_8TH without an importance matrix */
    GUIDED_8TH,  /* FIRST_8TH with one */
};

static const struct rule {
    const char *recipe; /* NULL: any block type */
    enum role role;
    enum condition when;
    enum qtype type;
} rules[] = {
    /* of any block type */
    {NULL, ATTN_V, EXPERTS, QT_Q8_0},
    {NULL, ATTN_K, EXPERTS, QT_Q8_0},
    /* of one recipe */
    {"q2_k", ATTN_V, GROUPED_70B, QT_Q5_K},
    {"q2_k", ATTN_V, GROUPED, QT_Q4_K},
    {"q2_k", ATTN_V, ALWAYS, QT_Q3_K},
    {"q2_k", ATTN_OUTPUT, EXPERTS, QT_Q5_K},
    {"q2_k", ATTN_OUTPUT, ALWAYS, QT_Q3_K},
    {"q2_k", FFN_DOWN, ALWAYS, QT_Q3_K},
    {"q3_k_m", ATTN_V, FIRST_TWO, QT_Q5_K},
    {"q3_k_m", ATTN_V, GROUPED_70B, QT_Q5_K},
    {"q3_k_m", ATTN_V, ALWAYS, QT_Q4_K},
    {"q3_k_m", ATTN_OUTPUT, EXPERTS, QT_Q5_K},
    {"q3_k_m", ATTN_OUTPUT, ALWAYS, QT_Q4_K},
    {"q3_k_m", FFN_DOWN, FIRST_16TH, QT_Q5_K},
    {"q3_k_m", FFN_DOWN, ALWAYS, QT_Q4_K},
    {"q4_k_s", ATTN_V, FIRST_FOUR, QT_Q5_K},
    {"q4_k_s", ATTN_V, GROUPED, QT_Q5_K},
    {"q4_k_s", ATTN_OUTPUT, EXPERTS, QT_Q5_K},
    {"q4_k_s", FFN_DOWN, FIRST_8TH, QT_Q5_K},
    {"q4_k_m", ATTN_V, SPREAD, QT_Q6_K},
    {"q4_k_m", ATTN_V, GROUPED, QT_Q5_K},
    {"q4_k_m", ATTN_OUTPUT, EXPERTS, QT_Q5_K},
    {"q4_k_m", FFN_DOWN, SPREAD, QT_Q6_K},
    {"q5_k_m", ATTN_V, SPREAD, QT_Q6_K},
    {"q5_k_m", ATTN_V, GROUPED, QT_Q6_K},
    {"q5_k_m", FFN_DOWN, SPREAD, QT_Q6_K},
    {"iq4_nl", ATTN_V, GROUPED, QT_Q5_K},
    {"iq4_nl", ATTN_OUTPUT, EXPERTS, QT_Q5_K},
    {"iq4_nl", FFN_DOWN, PLAIN_8TH, QT_Q5_K},
    {"iq4_xs", ATTN_V, GROUPED, QT_Q5_K},
    {"iq4_xs", ATTN_OUTPUT, EXPERTS, QT_Q5_K},
    {"iq4_xs", FFN_DOWN, PLAIN_8TH, QT_Q5_K},
    /* Q4_1 and Q5_1 are safe there with an importance matrix only */
    {"q4_0", FFN_DOWN, GUIDED_8TH, QT_Q4_1},
    {"q5_0", FFN_DOWN, GUIDED_8TH, QT_Q5_1},
};

/* What takes the place of a type whose 256-element blocks do not fit. */
static const struct {
    enum qtype from, to;
} fallbacks[] = {
    {QT_Q2_K, QT_IQ4_NL}, {QT_Q3_K, QT_IQ4_NL}, {QT_Q4_K, QT_Q5_0},
    {QT_Q5_K, QT_Q5_1},   {QT_Q6_K, QT_Q8_0},   {QT_IQ4_XS, QT_IQ4_NL},
};

static bool contains(struct str s, const char *part)
{
    return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* Names that hold something else than a matrix to multiply with. */
static bool stays(const struct tensor *t)
{
    static const char *const parts[] = {"_norm.weight", "ffn_gate_inp.weight", "position_embd",
                                        "token_types",  "rope_freqs",          "rope_factors"};
    if (t->n_dims < 2 || !str_ends(t->name, STR("weight")))
        return true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (contains(t->name, parts[i]))
            return true;
    }
    return qtype_info(t->type)->dequantize == NULL;
}

static enum role role_of(struct str name)
{
    /* a fused attn_qkv is as sensitive as the attn_v in it */
    if (contains(name, "attn_v.weight") || contains(name, "attn_qkv.weight"))
        return ATTN_V;
    if (contains(name, "attn_k.weight"))
        return ATTN_K;
    if (contains(name, "attn_output.weight"))
        return ATTN_OUTPUT;
    return contains(name, "ffn_down") ? FFN_DOWN : OTHER;
}

static int64_t layer_of(struct str name)
{
    int64_t layer = 0;
    if (!str_starts(name, STR("blk.")))
        return 0;
    for (size_t i = 4; i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && layer < 1 << 20; i++)
        layer = layer * 10 + (name.p[i] - '0');
    return layer;
}

static bool holds(enum condition when, const struct recipe_model *m, int64_t layer)
{
    int64_t n = m->n_layers;
    switch (when) {
    case ALWAYS: return true;
    case FIRST_TWO: return layer < 2;
    case FIRST_FOUR: return layer < 4;
    case FIRST_8TH: return layer < n / 8;
    case FIRST_16TH: return layer < n / 16;
    case SPREAD: return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
    case GROUPED: return m->gqa >= 4;
    case GROUPED_70B: return m->gqa >= 4 && n == 80;
    case EXPERTS: return m->n_experts >= 4;
    case PLAIN_8TH: return layer < n / 8 && !m->imatrix;
    case GUIDED_8TH: return layer < n / 8 && m->imatrix;
    }
    return false;
}

static enum qtype fitting(enum qtype type, int64_t cols)
{
    if (cols % qtype_info(type)->block_elems == 0)
        return type;
    for (size_t i = 0; i < sizeof fallbacks / sizeof *fallbacks; i++) {
        if (fallbacks[i].from == type && cols % qtype_info(fallbacks[i].to)->block_elems == 0)
            return fallbacks[i].to;
    }
    return QT_F16;
}

enum qtype recipe_type(const struct recipe *r, const struct recipe_model *m, const struct tensor *t)
{
    if (stays(t))
        return t->type;
    uint32_t block = qtype_info(r->type)->block_elems;
    if (block == 1)
        return r->type;
    enum qtype type = r->type;
    if (str_is(t->name, "output.weight") || (m->tied && str_is(t->name, "token_embd.weight"))) {
        if (t->ne[0] % block)
            type = QT_Q8_0;
        else if (type != QT_Q8_0)
            type = QT_Q6_K;
        return fitting(type, t->ne[0]);
    }
    enum role role = role_of(t->name);
    for (size_t i = 0; role != OTHER && i < sizeof rules / sizeof *rules; i++) {
        const struct rule *rule = &rules[i];
        if (rule->role == role && (!rule->recipe || strcmp(rule->recipe, r->name) == 0) &&
            holds(rule->when, m, layer_of(t->name))) {
            type = rule->type;
            break;
        }
    }
    return fitting(type, t->ne[0]);
}
