/* What is told of a model: capabilities by its template, metadata, texts for people. */
#include "store/info.h"
#include "base/json.h"
#include "format/gguf.h"
#include "store/params.h"
#include "store_support.h"

struct shape {
    const char *arch, *template, *extra_key;
};

/* A GGUF file without tensors, as a model of the store would name it. */
static void write_model(const char *path, struct shape s)
{
    struct gguf_writer *w;
    struct err err = {0};
    const int32_t few[] = {1, 2, 3, 4, 5}, many[] = {1, 2, 3, 4, 5, 6};
    char key[64];
    assert_ok(gguf_writer_open(&w, path, &err));
    gguf_put_str(w, "general.architecture", str_from(s.arch));
    gguf_put_str(w, "general.name", STR("Name"));
    gguf_put_str(w, "general.basename", STR("Base"));
    gguf_put_u32(w, "general.file_type", 15);
    snprintf(key, sizeof key, "%s.context_length", s.arch);
    gguf_put_u32(w, key, 4096);
    gguf_put_i32s(w, "x.few", few, 5);
    gguf_put_i32s(w, "x.many", many, 6);
    if (s.template)
        gguf_put_str(w, "tokenizer.chat_template", str_from(s.template));
    if (s.extra_key)
        gguf_put_u32(w, s.extra_key, 1);
    const int64_t ne[] = {32, 2};
    const float zero[64] = {0};
    gguf_put_tensor(w, STR("output.weight"), QT_F32, 2, ne);
    gguf_write_header(w);
    gguf_write_data(w, zero, sizeof zero);
    assert_ok(gguf_writer_commit(w, &err));
}

static void capabilities(void **state)
{
    struct fixture *f = *state;
    static const struct {
        struct shape shape;
        const char *entry; /* the entry's own template */
        const char *want;
    } rows[] = {
        {{"llama", NULL, NULL}, NULL, "completion"},
        {{"llama", "{{ messages }}", NULL}, NULL, "completion"},
        {{"llama", "{% if tools %}{% endif %}", NULL}, NULL, "completion tools"},
        {{"llama", "{{ 'tools' }}{{ x.tools }}{{ mytools }}", NULL}, NULL, "completion"},
        {{"qwen3", "{% if enable_thinking %}<think>{% endif %}{% for t in tools %}{% endfor %}",
          NULL},
         NULL,
         "completion tools thinking"},
        {{"llama", "{% if tools %}{% endif %}", NULL}, "{{ .Prompt }}", "completion"},
        {{"llama", NULL, NULL},
         "{{ range .Tools }}{{ end }}{{ .Suffix }}",
         "completion tools insert"},
        {{"llama", NULL, NULL}, "{{ if .IsThinkSet }}x{{ end }}", "completion thinking"},
        {{"llama", NULL, NULL}, "{{ range .ToolCalls }}{{ end }}", "completion"},
        {{"llama", NULL, "tokenizer.ggml.fim_pre_token_id"}, NULL, "completion insert"},
        {{"bert", NULL, NULL}, NULL, "embedding"},
        {{"qwen3", "{% if tools %}{% endif %}", "qwen3.pooling_type"}, NULL, "embedding"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[256], got[128] = "";
        struct err err = {0};
        struct info *info;
        struct store_model m = {0};
        const char *name;
        snprintf(path, sizeof path, "%s/m.gguf", f->dir);
        write_model(path, rows[i].shape);
        m.model_path = path;
        if (rows[i].entry)
            m.template_text = str_from(rows[i].entry);
        assert_ok(info_open(&info, &m, &err));
        for (size_t k = 0; (name = capability_name(info->capabilities, k)); k++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", k ? " " : "", name);
        assert_string_equal(got, rows[i].want);
        info_close(info);
    }
}

static void metadata(void **state)
{
    struct fixture *f = *state;
    char path[256];
    struct err err = {0};
    struct info *info;
    struct store_model m = {.params_json = STR("{\"stop\":[\"a\",\"b\\n\"],\"top_p\":0.9}")};
    struct buf out;
    struct jsonw w;
    json_t *o;
    buf_init(&out, 1 << 20);
    snprintf(path, sizeof path, "%s/m.gguf", f->dir);
    write_model(path, (struct shape){"llama", "{{ messages }}", NULL});
    m.model_path = path;
    assert_ok(info_open(&info, &m, &err));
    assert_int_equal(info->context_length, 4096);
    assert_int_equal(info->n_params, 64);
    assert_false(info->template_is_go);
    assert_string_equal(info->details.quantization, "Q4_K_M");
    for (int verbose = 0; verbose < 2; verbose++) {
        buf_clear(&out);
        jsonw_init(&w, &out, 0);
        info_write_model_info(&w, info, verbose);
        assert_ok(json_parse(&o, buf_str(&out), "info", &err));
        assert_int_equal(json_integer_value(json_object_get(o, "general.parameter_count")), 64);
        assert_int_equal(json_integer_value(json_object_get(o, "llama.context_length")), 4096);
        assert_string_equal(json_string_value(json_object_get(o, "general.basename")), "Base");
        assert_int_equal(json_array_size(json_object_get(o, "x.few")), 5);
        assert_int_equal(json_array_size(json_object_get(o, "x.many")), verbose ? 6 : 0);
        assert_true(json_is_null(json_object_get(o, "x.many")) == !verbose);
        assert_null(json_object_get(o, "tokenizer.chat_template"));
        assert_null(json_object_get(o, "general.name"));
        json_decref(o);
    }
    buf_clear(&out);
    jsonw_init(&w, &out, 0);
    info_write_tensors(&w, info);
    assert_string_equal(out.p, "[{\"name\":\"output.weight\",\"type\":\"F32\",\"shape\":[32,2]}]");
    buf_clear(&out);
    jsonw_init(&w, &out, 0);
    info_write_details(&w, &info->details);
    assert_string_equal(out.p, "{\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"llama\","
                               "\"families\":[\"llama\"],\"parameter_size\":\"64\","
                               "\"quantization_level\":\"Q4_K_M\"}");
    buf_clear(&out);
    assert_ok(params_text(m.params_json, &out, &err));
    assert_string_equal(out.p, "stop                           \"a\"\n"
                               "stop                           \"b\\n\"\n"
                               "top_p                          0.9");
    info_close(info);
    buf_release(&out);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *count, *bytes;
    } rows[] = {
        {0, "0", "0 B"},
        {999, "999", "999 B"},
        {1500, "2K", "1.5 KB"},
        {12345678, "12.35M", "12 MB"},
        {2000000, "2M", "2 MB"},
        {361821120, "361.82M", "361 MB"},
        {1235814432, "1.2B", "1.2 GB"},
        {7000000000, "7B", "7 GB"},
        {70553706496, "70.6B", "70 GB"},
        {2019377376, "2.0B", "2.0 GB"},
        {5000000000000, "5000B", "5 TB"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        human_count(rows[i].n, text, sizeof text);
        assert_string_equal(text, rows[i].count);
        human_bytes(rows[i].n, text, sizeof text);
        assert_string_equal(text, rows[i].bytes);
    }
    static const struct {
        int64_t seconds;
        const char *text;
    } ages[] = {
        {0, "Less than a second ago"}, {1, "1 second ago"},          {59, "59 seconds ago"},
        {60, "About a minute ago"},    {150, "2 minutes ago"},       {3600, "About an hour ago"},
        {47 * 3600, "47 hours ago"},   {72 * 3600, "3 days ago"},    {20 * 86400, "2 weeks ago"},
        {70 * 86400, "2 months ago"},  {800 * 86400, "2 years ago"},
    };
    for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
        char text[64];
        human_ago(1, 1 + ages[i].seconds * 1000000000, text, sizeof text);
        assert_string_equal(text, ages[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(capabilities, setup, teardown),
        cmocka_unit_test_setup_teardown(metadata, setup, teardown),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
