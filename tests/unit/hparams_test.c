/* config.json to hyperparameters: both generations of keys, defaults, and what is refused. */
#include "engine/arch.h"
#include "base/buf.h"
#include "support.h"
#include <math.h>
#include <string.h>

#define SIZES                                                                                      \
    "\"vocab_size\":100,\"num_hidden_layers\":6,\"hidden_size\":64,\"intermediate_size\":128,"     \
    "\"num_attention_heads\":4,\"max_position_embeddings\":512"

static struct hparams hp; /* large; one test at a time */

static enum status parse(struct err *err, const char *text)
{
    return hparams_from_json(&hp, str_from(text), err);
}

static void test_defaults(void **state)
{
    (void)state;
    struct err err;
    assert_ok(parse(&err, "{\"model_type\":\"llama\"," SIZES "}"));
    assert_int_equal(hp.head_dim, 16);
    assert_int_equal(hp.n_kv_heads, 4);
    assert_true(hp.rope[0].theta == 10000 && hp.rope[0].scaling == ROPE_PLAIN);
    assert_true(hp.rope[0].n_rot == 16 && hp.pairing == ROPE_HALF);
    assert_true(fabs((double)hp.attn_scale - 0.25) < 1e-7);
    assert_false(hp.features & F_TIED);
    assert_ok(parse(&err, "{\"model_type\":\"llama\"," SIZES ",\"sliding_window\":8}"));
    assert_int_equal(hp.window, 0);
    assert_ok(parse(&err, "{\"model_type\":\"gemma2\"," SIZES "}"));
    assert_true(hp.features & F_TIED);
    assert_true(hp.window == 4096 && hp.layer[0] == LAYER_WINDOW && hp.layer[1] == 0);
    assert_true(hp.attn_softcap == 50 && hp.logit_softcap == 30 && hp.norm_offset == 1);
    assert_true(fabs((double)hp.attn_scale - 1.0 / 16) < 1e-7 && hp.act == ACT_GELU_TANH);
    assert_ok(parse(&err, "{\"model_type\":\"gemma2\"," SIZES ",\"sliding_window\":null,"
                          "\"attn_logit_softcapping\":null}"));
    assert_true(hp.window == 0 && hp.attn_softcap == 0 && hp.layer[0] == 0);
}

static void test_both_generations(void **state)
{
    (void)state;
    struct err err;
    static const char *const texts[] = {
        "{\"model_type\":\"llama\"," SIZES ",\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":"
        "\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
        "\"original_max_position_embeddings\":64}}",
        "{\"model_type\":\"llama\"," SIZES ",\"rope_parameters\":{\"rope_type\":\"llama3\","
        "\"rope_theta\":5e5,\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,"
        "\"original_max_position_embeddings\":64}}",
    };
    for (int i = 0; i < 2; i++) {
        assert_ok(parse(&err, texts[i]));
        const struct rope_params *r = &hp.rope[0];
        assert_true(r->scaling == ROPE_LLAMA3 && r->theta == 5e5 && r->factor == 8);
        assert_int_equal(r->n_ctx_orig, 64);
    }
    assert_ok(parse(&err, "{\"model_type\":\"qwen2\"," SIZES ",\"rope_scaling\":{\"type\":\"yarn\","
                          "\"factor\":4.0,\"original_max_position_embeddings\":128}}"));
    assert_true(hp.rope[0].scaling == ROPE_YARN && hp.rope[0].factor == 4);
    assert_int_equal(hp.rope[0].n_ctx_orig, 128);
    assert_ok(parse(&err, "{\"model_type\":\"gemma2\"," SIZES ",\"rope_parameters\":{"
                          "\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8.0,"
                          "\"rope_theta\":1e6},\"sliding_attention\":{\"rope_type\":\"default\","
                          "\"rope_theta\":1e4}}}"));
    assert_int_equal(hp.n_ropes, 2);
    assert_true(hp.rope[ROPE_OF_FULL].theta == 1e6 && hp.rope[ROPE_OF_FULL].factor == 8);
    assert_true(hp.rope[ROPE_OF_WINDOW].theta == 1e4);
}

static void test_layer_patterns(void **state)
{
    (void)state;
    struct err err;
    assert_ok(parse(&err, "{\"model_type\":\"qwen2\"," SIZES ",\"use_sliding_window\":true,"
                          "\"sliding_window\":32,\"max_window_layers\":4}"));
    assert_true(hp.window == 32 && hp.layer[3] == 0 && hp.layer[4] == LAYER_WINDOW);
    assert_ok(parse(&err, "{\"model_type\":\"qwen2\"," SIZES ",\"use_sliding_window\":true,"
                          "\"sliding_window\":32,\"layer_types\":[\"sliding_attention\","
                          "\"full_attention\",\"full_attention\",\"full_attention\","
                          "\"full_attention\",\"sliding_attention\"]}"));
    assert_true(hp.layer[0] == LAYER_WINDOW && hp.layer[4] == 0 && hp.layer[5] == LAYER_WINDOW);
    assert_ok(parse(&err, "{\"model_type\":\"qwen2\"," SIZES ",\"use_sliding_window\":false,"
                          "\"sliding_window\":32,\"max_window_layers\":0}"));
    assert_true(hp.window == 0 && hp.layer[5] == 0);
    assert_ok(parse(&err, "{\"model_type\":\"smollm3\"," SIZES "}"));
    assert_true(hp.layer[2] == 0 && hp.layer[3] == LAYER_NOPE && hp.layer[4] == 0);
    assert_ok(
        parse(&err, "{\"model_type\":\"smollm3\"," SIZES ",\"no_rope_layers\":[0,1,1,1,1,0]}"));
    assert_true(hp.layer[0] == LAYER_NOPE && hp.layer[3] == 0 && hp.layer[5] == LAYER_NOPE);
    assert_ok(parse(&err, "{\"model_type\":\"mistral\"," SIZES ",\"head_dim\":32}"));
    assert_true(hp.window == 4096 && hp.layer[0] == LAYER_WINDOW && hp.head_dim == 32);
}

static void test_longrope(void **state)
{
    (void)state;
    struct err err;
    assert_ok(parse(&err,
                    "{\"model_type\":\"phi3\"," SIZES ",\"original_max_position_embeddings\":"
                    "64,\"partial_rotary_factor\":0.5,\"rope_scaling\":{\"type\":\"longrope\","
                    "\"short_factor\":[1,1,1,1],\"long_factor\":[1,2,3,4.5]}}"));
    const struct rope_params *r = &hp.rope[0];
    assert_true(r->scaling == ROPE_LONGROPE && r->n_rot == 8 && r->n_factors == 4);
    assert_true(r->n_ctx_orig == 64 && r->factor == 8 && r->long_factor[3] == 4.5f);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
        const char *names; /* a word of the message */
    } cases[] = {
        {"", EFORMAT, "config.json"},
        {"[]", EFORMAT, "object"},
        {"{}", EUNSUPPORTED, "model_type"},
        {"{\"model_type\":\"mamba\"}", EUNSUPPORTED, "mamba"},
        {"{\"model_type\":7}", EFORMAT, "model_type"},
        {"{\"model_type\":\"llama\"}", EFORMAT, "vocab_size"},
        {"{\"model_type\":\"llama\"," SIZES ",\"num_key_value_heads\":3}", EFORMAT, "multiple"},
        {"{\"model_type\":\"llama\"," SIZES ",\"num_key_value_heads\":0}", EFORMAT, "heads"},
        {"{\"model_type\":\"llama\"," SIZES ",\"head_dim\":4611686018427387904}", EFORMAT, "head"},
        {"{\"model_type\":\"llama\"," SIZES ",\"head_dim\":7}", EFORMAT, "even"},
        {"{\"model_type\":\"llama\"," SIZES ",\"head_dim\":-16}", EFORMAT, "head"},
        {"{\"model_type\":\"llama\"," SIZES ",\"rms_norm_eps\":-1}", EFORMAT, "epsilon"},
        {"{\"model_type\":\"llama\"," SIZES ",\"rope_theta\":0}", EFORMAT, "base"},
        {"{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":[1]}", EFORMAT, "object"},
        {"{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"type\":\"mrope\"}}", EUNSUPPORTED,
         "mrope"},
        {"{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}",
         EFORMAT, "factor"},
        {"{\"model_type\":\"llama\"," SIZES ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8,"
         "\"low_freq_factor\":4,\"high_freq_factor\":1}}",
         EFORMAT, "rising"},
        {"{\"model_type\":\"llama\"," SIZES ",\"hidden_act\":\"relu6\"}", EUNSUPPORTED, "relu6"},
        {"{\"model_type\":\"llama\"," SIZES ",\"quantization_config\":{\"quant_method\":\"awq\"}}",
         EUNSUPPORTED, "awq"},
        {"{\"model_type\":\"mistral\"," SIZES ",\"sliding_window\":-5}", EFORMAT, "window"},
        {"{\"model_type\":\"mixtral\"," SIZES ",\"num_local_experts\":4,\"num_experts_per_tok\":5}",
         EFORMAT, "experts"},
        {"{\"model_type\":\"mixtral\"," SIZES ",\"num_local_experts\":0,\"num_experts_per_tok\":0}",
         EFORMAT, "experts"},
        {"{\"model_type\":\"phi3\"," SIZES ",\"rope_scaling\":{\"type\":\"longrope\","
         "\"short_factor\":[1,1],\"long_factor\":[1,1]}}",
         EFORMAT, "expected 8"},
        {"{\"model_type\":\"phi3\"," SIZES ",\"rope_scaling\":{\"type\":\"longrope\","
         "\"short_factor\":[1,1,1,1,1,1,1,1],\"long_factor\":[1,1]}}",
         EFORMAT, "long_factor"},
        {"{\"model_type\":\"phi3\"," SIZES ",\"partial_rotary_factor\":-0.5}", EFORMAT, "partial"},
        {"{\"model_type\":\"gemma2\"," SIZES ",\"layer_types\":[\"full_attention\"]}", EFORMAT,
         "layer_types"},
        {"{\"model_type\":\"gemma2\"," SIZES ",\"query_pre_attn_scalar\":0}", EFORMAT, "query"},
        {"{\"model_type\":\"smollm3\"," SIZES ",\"no_rope_layer_interval\":0}", EFORMAT,
         "interval"},
        {"{\"model_type\":\"llama\",\"num_hidden_layers\":1000000,\"vocab_size\":100,"
         "\"hidden_size\":64,\"intermediate_size\":128,\"num_attention_heads\":4,"
         "\"max_position_embeddings\":512}",
         EFORMAT, "layers"},
        {"{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"vocab_size\":100,"
         "\"hidden_size\":65,\"intermediate_size\":128,\"num_attention_heads\":4,"
         "\"max_position_embeddings\":512}",
         EFORMAT, "hidden_size"},
        {"{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"vocab_size\":100,"
         "\"hidden_size\":64,\"intermediate_size\":128,\"num_attention_heads\":0,"
         "\"max_position_embeddings\":512}",
         EFORMAT, "heads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        enum status s = parse(&err, cases[i].text);
        if (s != cases[i].status || !strstr(err.msg, cases[i].names))
            fail_msg("%s\n gave %s '%s', expected %s and '%s'", cases[i].text, status_name(s),
                     err.msg, status_name(cases[i].status), cases[i].names);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_both_generations),
        cmocka_unit_test(test_layer_patterns), cmocka_unit_test(test_longrope),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
