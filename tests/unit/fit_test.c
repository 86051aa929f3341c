/* What `hearth fit` says: costs against files that were really written, sizes against published
 * files, speeds against the formula, choices that only get better with a better machine, and
 * options that make no sense. */
#include "base/json.h"
#include "engine/engine.h"
#include "store/fit.h"
#include "support.h"
#include <math.h>
#include <string.h>

/* ---- costs ---- */

static const struct synth_shape small = {
    .name = "small",
    .arch = "llama",
    .layers = 8,
    .embd = 256,
    .ff = 512,
    .heads = 4,
    .kv_heads = 2,
    .head_dim = 64,
    .vocab = 1024,
    .ctx = 512,
    .rope_base = 1e4f,
    .eps = 1e-5f,
    .tokens = SYNTH_SPM,
};

/* The shape's costs are those of the file that is written from it, as the opened model has them. */
static void compare_cost(const struct synth_shape *s, const char *type)
{
    struct err err;
    struct model *m;
    struct model_info info;
    struct synth_cost cost;
    const struct recipe *recipe = recipe_by_name(str_from(type));
    const char *path = temp_path("cost.gguf");
    assert_ok(synth_write(s, path, recipe, 1, NULL, NULL, &err));
    assert_ok(synth_cost(s, recipe, &cost, &err));
    assert_ok(model_open(&m, path, NULL, &err));
    model_info(m, &info);
    int64_t constants = s->rope_factor > 0 ? s->head_dim / 2 : 0; /* a file counts them, too */
    if (cost.weight_bytes != info.weight_bytes || synth_params(s) + constants != info.n_params)
        fail_msg("%s as %s: %llu bytes, %lld parameters; the file has %zu, %lld", s->name, type,
                 (unsigned long long)cost.weight_bytes, (long long)synth_params(s),
                 info.weight_bytes, (long long)info.n_params);
    struct model_work work = model_token_work(m);
    bool same = cost.work.quantized == work.quantized && cost.work.floats == work.floats &&
                cost.work.output == work.output;
    if (!(s->flags & SYNTH_ENCODER)) {
        if ((size_t)(cost.token_bytes + 0.5) != model_decode_bytes(m))
            fail_msg("%s as %s: %.1f bytes a token, the file has %zu", s->name, type,
                     cost.token_bytes, model_decode_bytes(m));
        same = same && cost.work.output_quantized == work.output_quantized;
    }
    if (!same)
        fail_msg("%s as %s: %.0f %.0f %.0f products, the file has %.0f %.0f %.0f", s->name, type,
                 cost.work.quantized, cost.work.floats, cost.work.output, work.quantized,
                 work.floats, work.output);
    model_close(m);
    unlink(path);
}

static void costs_are_those_of_the_file(void **state)
{
    (void)state;
    static const char *const types[] = {"bf16", "q8_0", "q5_k_m", "q4_k_m", "q4_0", "q2_k"};
    struct synth_shape s[8];
    for (int i = 0; i < 8; i++)
        s[i] = small;
    s[0].name = "plain";
    s[1].name = "tied, grouped";
    s[1].flags = SYNTH_TIED;
    s[1].kv_heads = 1;
    s[1].tokens = SYNTH_LLAMA3;
    s[1].rope_factor = 32;
    s[2].name = "biases";
    s[2].arch = "qwen2";
    s[2].flags = SYNTH_QKV_BIAS;
    s[2].tokens = SYNTH_QWEN2;
    s[3].name = "q and k norms";
    s[3].arch = "qwen3";
    s[3].flags = SYNTH_QK_NORM | SYNTH_TIED;
    s[3].tokens = SYNTH_QWEN2;
    s[3].head_dim = 128;
    s[4].name = "fused";
    s[4].arch = "phi3";
    s[4].flags = SYNTH_FUSED;
    s[4].kv_heads = 4;
    s[4].window = 255;
    s[5].name = "post norms";
    s[5].arch = "gemma2";
    s[5].flags = SYNTH_TIED | SYNTH_POST_NORMS;
    s[5].tokens = SYNTH_GEMMA;
    s[5].window = 128;
    s[6].name = "experts";
    s[6].experts = 8;
    s[6].used = 2;
    s[7].name = "encoder";
    s[7].arch = "bert";
    s[7].flags = SYNTH_TIED | SYNTH_ENCODER;
    s[7].tokens = SYNTH_WORDPIECE;
    s[7].kv_heads = 4;
    s[7].eps = 1e-12f;
    for (int i = 0; i < 8; i++)
        for (size_t k = 0; k < sizeof types / sizeof *types; k++)
            compare_cost(&s[i], types[k]);
}

/* ---- the catalogue ---- */

static const struct fit_device machine = {.name = "cpu",
                                          .computes = true,
                                          .total = (uint64_t)1 << 40,
                                          .memory = (uint64_t)1 << 40,
                                          .read_gb_s = 100,
                                          .int8_gop_s = 4000,
                                          .f32_gop_s = 1000};

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-9 * fabs(b)))
        fail_msg("%.12g, expected %.12g", a, b);
}

static const struct fit_row *row_of(const struct fit *f, const char *type)
{
    for (int i = 0; i < f->n; i++)
        if (strcmp(f->row[i].recipe->name, type) == 0)
            return &f->row[i];
    fail_msg("no row %s", type);
    return NULL;
}

static const struct catalog_model *model_of(const char *name)
{
    for (const struct catalog_model *m = catalog; m->name; m++)
        if (strcmp(m->name, name) == 0)
            return m;
    fail_msg("no model %s", name);
    return NULL;
}

static void judge(struct fit *f, const char *model, const struct fit_device *d,
                  const struct fit_request *r)
{
    struct err err;
    assert_ok(fit_model(f, model_of(model), d, r, &err));
}

static void rows_of_the_catalogue_make_sense(void **state)
{
    (void)state;
    for (const struct catalog_model *m = catalog; m->name; m++) {
        struct err err;
        const struct synth_shape *s;
        assert_ok(synth_find(m->shape, &s, &err));
        assert_true(m->trained_ctx > 0 && m->trained_ctx <= s->ctx);
        assert_true(m->uses != 0 && m->licence[0]);
        const char *slash = strchr(m->hf, '/');
        assert_true(slash && slash > m->hf && slash[1] && !strchr(slash + 1, '/'));
        assert_true(!m->ollama[0] || strchr(m->ollama, ':'));
        for (const struct catalog_model *o = catalog; o < m; o++)
            assert_string_not_equal(o->name, m->name);
    }
}

/* Bytes of files as they are published (Ollama's library; SmolLM3 and Qwen3: their GGUF
 * repositories). K types differ by the rules that our recipes have of ik_llama.cpp. */
static void sizes_are_those_of_published_files(void **state)
{
    (void)state;
    static const struct {
        const char *model, *type;
        double bytes;
    } rows[] = {
        {"tinyllama-1.1b", "q4_0", 637699456}, {"llama3.2-1b", "q8_0", 1321082688},
        {"llama3.2-3b", "q4_k_m", 2019377696}, {"llama3.1-8b", "q4_0", 4661211808},
        {"llama3.1-8b", "q4_k_m", 4920738944}, {"mistral-7b", "q4_0", 4113289152},
        {"codellama-7b", "q4_0", 3825898144},  {"mixtral-8x7b", "q4_0", 26442481824},
        {"qwen2-7b", "q4_0", 4431388512},      {"gemma2-2b", "q4_0", 1629509152},
        {"phi3-mini", "q4_0", 2176177120},     {"qwen3-0.6b", "q8_0", 639446688},
        {"qwen3-1.7b", "q8_0", 1834426016},    {"qwen3-4b", "q4_k_m", 2497280256},
        {"qwen3-8b", "q4_k_m", 5027783488},    {"smollm3-3b", "q4_k_m", 1915305312},
    };
    struct fit_request r;
    fit_request_init(&r);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fit f;
        judge(&f, rows[i].model, &machine, &r);
        double ratio = (double)row_of(&f, rows[i].type)->file_bytes / rows[i].bytes;
        if (fabs(ratio - 1) > 0.003)
            fail_msg("%s %s is %.4f of the published file", rows[i].model, rows[i].type, ratio);
    }
}

/* ---- speed and memory of one row ---- */

static void speeds_follow_the_formula(void **state)
{
    (void)state;
    struct err err;
    struct fit f, deeper, q8, faster;
    struct synth_cost cost;
    struct fit_request r;
    fit_request_init(&r);
    judge(&f, "llama3.1-8b", &machine, &r);
    const struct fit_row *row = row_of(&f, "q4_k_m");
    assert_ok(synth_cost(f.shape, row->recipe, &cost, &err));
    /* 8 heads of 128, keys and values, two bytes, 32 layers */
    double position = 2.0 * 8 * 128 * 2 * 32;
    assert_int_equal(row->kv_f16, (uint64_t)position * (4096 + 64));
    double seconds =
        cost.token_bytes / (100e9 * FIT_DECODE_SHARE) + 2048 * position / (100e9 * FIT_KV_SHARE);
    assert_near(row->decode_tok_s, 1 / seconds);
    double work = 2 * (cost.work.quantized / 4000e9 + cost.work.floats / 1000e9);
    assert_near(row->prefill_tok_s, FIT_PREFILL_SHARE / work);
    r.ctx = 32768;
    judge(&deeper, "llama3.1-8b", &machine, &r);
    r.kv = KV_Q8;
    judge(&q8, "llama3.1-8b", &machine, &r);
    struct fit_device twice = machine;
    twice.read_gb_s *= 2;
    judge(&faster, "llama3.1-8b", &twice, &r);
    assert_true(row_of(&deeper, "q4_k_m")->decode_tok_s < row->decode_tok_s);
    assert_true(row_of(&q8, "q4_k_m")->decode_tok_s > row_of(&deeper, "q4_k_m")->decode_tok_s);
    assert_true(row_of(&q8, "q4_k_m")->memory < row_of(&deeper, "q4_k_m")->memory);
    assert_near(row_of(&faster, "q4_k_m")->decode_tok_s, 2 * row_of(&q8, "q4_k_m")->decode_tok_s);
    /* of eight experts two are read */
    r.ctx = 64;
    judge(&f, "mixtral-8x7b", &machine, &r);
    row = row_of(&f, "q8_0");
    double reads = 100e9 * FIT_DECODE_SHARE / row->decode_tok_s / (double)row->weight_bytes;
    assert_true(reads > 0.25 && reads < 0.32);
}

/* A window bounds what is read, not what is kept; half of 16384 tokens is past both windows. */
static void windows_bound_what_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        double positions, bytes; /* of each position: keys and values of two bytes, all layers */
    } rows[] = {{"phi3-mini", 2047, 2.0 * 32 * 96 * 2 * 32},
                {"gemma2-2b", (4096.0 + 8192) / 2, 2.0 * 4 * 256 * 2 * 26}};
    struct fit_request r;
    fit_request_init(&r);
    r.ctx = 16384;
    for (size_t i = 0; i < 2; i++) {
        struct err err;
        struct fit f;
        struct synth_cost cost;
        judge(&f, rows[i].model, &machine, &r);
        const struct fit_row *row = row_of(&f, "q8_0");
        assert_ok(synth_cost(f.shape, row->recipe, &cost, &err));
        double seconds = cost.token_bytes / (100e9 * FIT_DECODE_SHARE) +
                         rows[i].positions * rows[i].bytes / (100e9 * FIT_KV_SHARE);
        assert_near(row->decode_tok_s, 1 / seconds);
        assert_int_equal(row->kv_f16, (uint64_t)rows[i].bytes * (16384 + 64));
        assert_int_equal(f.verdict, FIT_NO); /* neither was trained with as many */
        assert_int_equal(row->max_ctx, f.model->trained_ctx);
    }
}

static void what_is_not_known_is_not_predicted(void **state)
{
    (void)state;
    struct fit f;
    struct fit_request r;
    struct fit_device blind = machine;
    fit_request_init(&r);
    blind.read_gb_s = blind.int8_gop_s = 0;
    judge(&f, "llama3.1-8b", &blind, &r);
    assert_int_equal(f.verdict, FIT_YES); /* by memory alone */
    assert_true(row_of(&f, "q8_0")->decode_tok_s == 0);
    assert_true(row_of(&f, "q8_0")->prefill_tok_s == 0);
    judge(&f, "distilbert", &machine, &r);
    assert_true(f.encoder);
    assert_int_equal(f.row[f.chosen].kv_f16, 0);
    assert_int_equal(f.row[f.chosen].max_ctx, 512);
    assert_true(f.row[f.chosen].decode_tok_s == 0 && f.row[f.chosen].prefill_tok_s > 0);
}

/* ---- choices ---- */

static void more_memory_never_fits_less(void **state)
{
    (void)state;
    struct fit_request r;
    fit_request_init(&r);
    for (const struct catalog_model *m = catalog; m->name; m++) {
        struct fit before = {0}, now;
        for (uint64_t mb = 128; mb < 65536; mb += mb / 8, before = now) {
            struct err err;
            struct fit_device d = machine;
            d.memory = fit_share_of_ram(mb << 20);
            assert_true(d.memory < mb << 20);
            assert_ok(fit_model(&now, m, &d, &r, &err));
            for (int i = 0; i < now.n; i++) {
                const struct fit_row *row = &now.row[i];
                assert_int_equal(row->fits, row->max_ctx >= row->ctx);
                if (row->fits) /* the whole of it */
                    assert_true(row->memory <= d.memory);
                assert_true(row->max_ctx <= m->trained_ctx);
                assert_true(row->max_ctx_q8 >= row->max_ctx_f16);
                assert_true(row->max_ctx >= before.row[i].max_ctx);
            }
            assert_true(now.verdict != FIT_NO || before.verdict == FIT_NO);
            if (before.n && before.verdict != FIT_NO)
                assert_true(now.chosen <= before.chosen); /* better quality first */
        }
        assert_int_not_equal(before.verdict, FIT_NO);
    }
}

/* The longest context that is told really fits, and a page more does not. */
static void the_longest_context_is_exact(void **state)
{
    (void)state;
    struct fit f;
    struct fit_request r;
    struct fit_device d = machine;
    fit_request_init(&r);
    d.memory = (uint64_t)8 << 30;
    judge(&f, "llama3.1-8b", &d, &r);
    int64_t most = row_of(&f, "q4_k_m")->max_ctx;
    assert_true(most > 4096 && most < 131072);
    r.ctx = most;
    judge(&f, "llama3.1-8b", &d, &r);
    assert_true(row_of(&f, "q4_k_m")->fits);
    assert_true(row_of(&f, "q4_k_m")->memory <= d.memory);
    r.ctx = most + 1;
    judge(&f, "llama3.1-8b", &d, &r);
    assert_false(row_of(&f, "q4_k_m")->fits);
    assert_true(row_of(&f, "q4_k_m")->memory > d.memory);
}

static void speed_is_bought_with_bits(void **state)
{
    (void)state;
    static const struct {
        double gb_s;
        const char *type;
        enum fit_verdict verdict;
    } rows[] = {{1000, "q8_0", FIT_YES},
                {50, "q6_k", FIT_YES},
                {33, "q4_k_m", FIT_YES},
                {10, "q4_k_m", FIT_SLOW}};
    struct fit_request r;
    struct fit f;
    fit_request_init(&r);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fit_device d = machine;
        d.read_gb_s = rows[i].gb_s;
        judge(&f, "llama3.1-8b", &d, &r);
        assert_string_equal(f.row[f.chosen].recipe->name, rows[i].type);
        assert_int_equal(f.verdict, rows[i].verdict);
    }
    /* below that only for room */
    struct fit_device d = machine;
    d.memory = (uint64_t)25 << 30;
    judge(&f, "mixtral-8x7b", &d, &r);
    assert_string_equal(f.row[f.chosen].recipe->name, "q3_k_m");
    d.memory = (uint64_t)8 << 30;
    judge(&f, "mixtral-8x7b", &d, &r);
    assert_int_equal(f.verdict, FIT_NO);
    assert_string_equal(f.row[f.chosen].recipe->name, "q2_k");
}

/* ---- options and machines ---- */

static void options_that_make_no_sense(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"tier", ""},          {"tier", "laptop17"},
        {"ram", ""},           {"ram", "0"},
        {"ram", "-1G"},        {"ram", "16X"},
        {"ram", "16GG"},       {"ram", "1e30"},
        {"ram", "nan"},        {"ram", "inf"},
        {"ram", "9999999T"},   {"gpu", "much"},
        {"bandwidth", "0"},    {"bandwidth", "-5"},
        {"bandwidth", "nan"},  {"bandwidth", "1e9"},
        {"bandwidth", "5 GB"}, {"gpu-bandwidth", "inf"},
        {"ctx", "0"},          {"ctx", "-1"},
        {"ctx", "1.5"},        {"ctx", "99999999999999999999"},
        {"kv", "f32"},         {"kv", ""},
        {"speed", "-1"},       {"speed", "fast"},
        {"all", "maybe"},      {"colour", "red"},
    };
    struct err err;
    struct fit_request r, before;
    fit_request_init(&r);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        before = r;
        if (fit_request_set(&r, bad[i][0], "--x", str_from(bad[i][1]), &err) != EUSAGE)
            fail_msg("%s %s was taken", bad[i][0], bad[i][1]);
        assert_memory_equal(err.msg, "--x: ", 5);
        assert_memory_equal(&r, &before, sizeof r);
    }
    char longer[200];
    memset(longer, '1', sizeof longer);
    assert_int_equal(fit_request_set(&r, "model", "x", (struct str){longer, 200}, &err), EUSAGE);
    assert_int_equal(fit_request_set(&r, "model", "x", (struct str){"a\0b", 3}, &err), EUSAGE);
    for (size_t i = 0; fit_option_name(i); i++) /* the list and the parser agree */
        if (fit_request_set(&r, fit_option_name(i), "x", STR("\x01"), &err) != EUSAGE)
            assert_string_equal(fit_option_name(i), "model");
}

static void set(struct fit_request *r, const char *name, const char *value)
{
    struct err err;
    assert_ok(fit_request_set(r, name, name, str_from(value), &err));
}

static void machines_are_what_was_said(void **state)
{
    (void)state;
    struct err err;
    struct fit_request r;
    struct fit_machine m;
    struct fit_limits here = {.read_gb_s = 20, .int8_gop_s = 1000, .f32_gop_s = 300, .threads = 2};
    fit_request_init(&r);
    assert_true(fit_needs_limits(&r));
    set(&r, "ram", "16G");
    assert_ok(fit_machine_of(&m, &r, &here, &err));
    assert_int_equal(m.n, 1);
    assert_int_equal(m.device[0].total, (uint64_t)16 << 30);
    assert_int_equal(m.device[0].memory, (uint64_t)13 << 30);
    assert_true(m.device[0].read_gb_s == 20 && m.device[0].int8_gop_s == 1000);
    set(&r, "bandwidth", "50");
    assert_false(fit_needs_limits(&r));
    assert_ok(fit_machine_of(&m, &r, NULL, &err));
    assert_true(m.device[0].read_gb_s == 50 && m.device[0].int8_gop_s == 0);
    set(&r, "gpu", "24g");
    assert_ok(fit_machine_of(&m, &r, NULL, &err));
    assert_int_equal(m.n, 2);
    assert_false(m.device[1].computes);
    assert_true(m.device[1].read_gb_s == 0);
    set(&r, "gpu-bandwidth", "1008");
    assert_ok(fit_machine_of(&m, &r, NULL, &err));
    assert_true(m.device[1].read_gb_s == 1008);
    fit_request_init(&r);
    set(&r, "gpu-bandwidth", "1008");
    assert_int_equal(fit_machine_of(&m, &r, &here, &err), EUSAGE);
    for (const struct fit_tier *t = fit_tiers; t->name; t++) {
        fit_request_init(&r);
        set(&r, "tier", t->name);
        assert_false(fit_needs_limits(&r));
        assert_ok(fit_machine_of(&m, &r, NULL, &err));
        assert_true(m.device[0].computes && m.device[0].read_gb_s > 0 && m.device[0].source[0]);
        assert_int_equal(m.n, t->gpu_gb > 0 ? 2 : 1);
        if (m.n == 2)
            assert_true(!m.device[1].computes && m.device[1].read_gb_s > m.device[0].read_gb_s);
    }
    set(&r, "ram", "64G"); /* in place of the tier's */
    assert_ok(fit_machine_of(&m, &r, NULL, &err));
    assert_int_equal(m.device[0].total, (uint64_t)64 << 30);
}

static void this_machine_has_what_hearth_memory_leaves(void **state)
{
    (void)state;
    struct err err;
    struct fit_request r;
    struct fit_machine m;
    struct fit_limits here = {.read_gb_s = 20, .int8_gop_s = 1000, .f32_gop_s = 300, .threads = 2};
    fit_request_init(&r);
    setenv("HEARTH_MEMORY", "100M", 1);
    assert_ok(fit_machine_of(&m, &r, &here, &err));
    assert_true(m.device[0].memory <= (uint64_t)100 << 20);
    assert_true(m.device[0].total > m.device[0].memory);
    setenv("HEARTH_MEMORY", "lots", 1);
    assert_int_equal(fit_machine_of(&m, &r, &here, &err), EUSAGE);
    unsetenv("HEARTH_MEMORY");
}

static void the_json_says_it_all(void **state)
{
    (void)state;
    struct err err;
    struct fit_request r;
    struct fit_machine m;
    struct buf out;
    json_t *doc;
    fit_request_init(&r);
    set(&r, "tier", "workstation24");
    set(&r, "all", "true");
    assert_ok(fit_machine_of(&m, &r, NULL, &err));
    buf_init(&out, 4 << 20);
    assert_ok(fit_write_json(&out, &m, &r, &err));
    assert_ok(json_parse(&doc, buf_str(&out), "fit", &err));
    assert_non_null(json_object_get(doc, "note"));
    json_t *devices = json_object_get(doc, "devices");
    assert_int_equal(json_array_size(devices), 2);
    assert_true(json_is_true(json_object_get(json_array_get(devices, 0), "computes")));
    assert_true(json_is_false(json_object_get(json_array_get(devices, 1), "computes")));
    json_t *models = json_object_get(json_array_get(devices, 1), "models"), *one;
    size_t i;
    json_array_foreach(models, i, one)
    {
        assert_string_equal(json_string_value(json_object_get(one, "name")), catalog[i].name);
        assert_true(json_array_size(json_object_get(one, "quantizations")) > 10);
        assert_non_null(json_object_get(json_object_get(one, "choice"), "weight_bytes"));
        /* of a GPU's products nothing is known */
        assert_true(json_is_null(json_object_get(json_object_get(one, "choice"), "prefill_tok_s")));
    }
    assert_null(catalog[i].name);
    json_decref(doc);
    buf_clear(&out);
    set(&r, "model", "no such");
    assert_int_equal(fit_write_json(&out, &m, &r, &err), ENOTFOUND);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_are_those_of_the_file),
        cmocka_unit_test(rows_of_the_catalogue_make_sense),
        cmocka_unit_test(sizes_are_those_of_published_files),
        cmocka_unit_test(speeds_follow_the_formula),
        cmocka_unit_test(windows_bound_what_is_read),
        cmocka_unit_test(what_is_not_known_is_not_predicted),
        cmocka_unit_test(more_memory_never_fits_less),
        cmocka_unit_test(the_longest_context_is_exact),
        cmocka_unit_test(speed_is_bought_with_bits),
        cmocka_unit_test(options_that_make_no_sense),
        cmocka_unit_test(machines_are_what_was_said),
        cmocka_unit_test(this_machine_has_what_hearth_memory_leaves),
        cmocka_unit_test(the_json_says_it_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
