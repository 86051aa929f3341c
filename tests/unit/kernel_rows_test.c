/* Slots on rows of floats, every table this CPU supports: the same bits as the scalar table at any
 * length and alignment, nothing touched outside the row; and the scalar table against float64. */
#include "kernel_support.h"
#include <float.h>
#include <math.h>

enum { MAX_N = 600 };
static const int64_t lengths[] = {0,  1,  2,  7,  15, 16,  17,  31,  32,
                                  33, 48, 63, 64, 65, 100, 128, 257, 576};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

static double ulps(double got, double want)
{
    double unit = ldexp(1, ilogb(fmax(fabs(want), 0x1p-126)) - 23);
    return fabs(got - want) / unit;
}

/* ---- the scalar table against the C library in float64 ---- */

static double d_silu(double x)
{
    return x / (1 + exp(-x));
}
static double d_gelu_erf(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2));
}
static double d_gelu_tanh(double x)
{
    double u = 0.79788456080286535588 * (x + 0.044715 * x * x * x);
    return x / (1 + exp(-2 * u));
}

static double worst_error(void (*slot)(float *, const float *, const float *, int64_t),
                          double (*want)(double), double lo, double hi)
{
    double worst = 0;
    for (int i = 0; i < 200000; i++) {
        float x = (float)(lo + (hi - lo) * i / 200000), y;
        slot(&y, &x, NULL, 1);
        double u = ulps((double)y, want((double)x));
        if (u > worst)
            worst = u;
    }
    return worst;
}

static void activations_are_right(void **state)
{
    (void)state;
    const struct kernel_ops *ops = kernel_ops_at(0);
    assert_true(worst_error(ops->silu, d_silu, -80, 30) < 2.5);
    assert_true(worst_error(ops->gelu_erf, d_gelu_erf, -1, 8) < 8);
    assert_true(worst_error(ops->gelu_tanh, d_gelu_tanh, -1, 8) < 3);
    /* in the negative tail the exponential amplifies the rounding of its argument */
    assert_true(worst_error(ops->gelu_erf, d_gelu_erf, -5, -1) < 13);
    assert_true(worst_error(ops->gelu_tanh, d_gelu_tanh, -4, -1) < 20);
    float x[4] = {-1000, 1000, INFINITY, -200}, y[4];
    ops->silu(y, x, NULL, 4);
    assert_true(y[0] == 0 && y[1] == 1000 && y[2] == INFINITY && y[3] == 0);
    ops->gelu_erf(y, x, NULL, 2);
    assert_true(y[0] == 0 && y[1] == 1000);
    x[0] = NAN;
    ops->silu(y, x, NULL, 1);
    assert_true(isnan(y[0]));
}

static void softcap_is_right(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = -100000; i <= 100000; i++) {
        float x = (float)i * 2e-4f, y = x;
        kernel_ops_at(0)->softcap(&y, 1, 1);
        worst = fmax(worst, ulps((double)y, tanh((double)x)));
    }
    assert_true(worst < 2.5);
    float big[2] = {1e30f, -1e30f};
    kernel_ops_at(0)->softcap(big, 30, 2);
    assert_true(big[0] == 30 && big[1] == -30);
}

static void softmax_is_right(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 3);
    for (int k = 1; k < N_LENGTHS; k++) {
        int64_t n = lengths[k];
        float x[MAX_N] = {0}, y[MAX_N], e[MAX_N];
        double top = (double)-INFINITY, sum = 0;
        for (int i = 0; i < n; i++) {
            x[i] = y[i] = uniform(&r, -60, 30);
            top = fmax(top, (double)x[i]);
        }
        for (int i = 0; i < n; i++)
            sum += exp((double)x[i] - top);
        assert_true((double)kernel_ops_at(0)->max(x, n) == top);
        memcpy(e, x, sizeof e);
        double got = (double)kernel_ops_at(0)->exp_sum(e, n, (float)top);
        assert_true(fabs(got - sum) < 1e-5 * sum);
        kernel_ops_at(0)->softmax(y, n);
        for (int i = 0; i < n; i++) {
            double want = exp((double)x[i] - top) / sum;
            double slack = 2e-6 + 1e-7 * fabs((double)x[i] - top); /* of x - top itself */
            assert_true(fabs((double)y[i] - want) <= slack * want + 1e-37);
        }
    }
    float masked[3] = {-INFINITY, 1, -INFINITY};
    kernel_ops_at(0)->softmax(masked, 3);
    assert_true(masked[0] == 0 && masked[1] == 1 && masked[2] == 0);
}

static void norms_are_right(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 4);
    for (int k = 1; k < N_LENGTHS; k++) {
        int64_t n = lengths[k];
        float x[MAX_N], w[MAX_N], b[MAX_N], y[MAX_N], z[MAX_N];
        fill_floats(FILL_RANDOM, x, n, &r);
        fill_floats(FILL_RANDOM, w, n, &r);
        fill_floats(FILL_RANDOM, b, n, &r);
        double sum = 0, sq = 0, var = 0;
        for (int i = 0; i < n; i++) {
            sum += (double)x[i];
            sq += (double)x[i] * (double)x[i];
        }
        double mean = sum / (double)n;
        for (int i = 0; i < n; i++)
            var += ((double)x[i] - mean) * ((double)x[i] - mean);
        kernel_ops_at(0)->rmsnorm(y, x, w, 1, 1e-5f, n);
        kernel_ops_at(0)->layernorm(z, x, w, b, 1e-5f, n);
        for (int i = 0; i < n; i++) {
            double rms = (double)x[i] / sqrt(sq / (double)n + 1e-5) * ((double)w[i] + 1);
            double part = ((double)x[i] - mean) / sqrt(var / (double)n + 1e-5) * (double)w[i];
            assert_true(fabs((double)y[i] - rms) <= 1e-5 * fabs(rms) + 1e-6);
            assert_true(fabs((double)z[i] - part - (double)b[i]) <=
                        1e-4 * (fabs(part) + fabs((double)b[i])) + 1e-4);
        }
    }
}

/* Rows of x into values (rows) and keys (tiles) of a cache. */
static void cache_rows(const struct kernel_ops *ops, enum kv_type type, const float *x,
                       int64_t n_pos, int64_t n, uint8_t *keys, uint8_t *values)
{
    size_t bytes = kv_row_bytes(type, n);
    for (int64_t i = 0; i < n_pos; i++) {
        uint8_t *row = values + (size_t)i * bytes;
        ops->kv_store[type](row, x + i * n, n);
        kv_key_put(type, keys + (size_t)(i / KV_TILE * KV_TILE) * bytes, i % KV_TILE, row, n);
    }
}

static void kv_rows_are_right(void **state)
{
    (void)state;
    enum { N = 80, POS = 19, TILES = 2 * KV_TILE };
    static const double tolerance[3] = {1.0 / 2048, 0, 1.01 / 254};
    const struct kernel_ops *ops = kernel_ops_at(0);
    struct rng r;
    rng_seed(&r, 5);
    for (int type = 0; type < 3; type++) {
        size_t bytes = kv_row_bytes((enum kv_type)type, N);
        float x[POS][N], q[N], p[POS], scores[KV_PAGE], tile[QUERY_TILE * N] = {0}, out[N] = {0};
        uint8_t keys[TILES * N * 4], values[POS * N * 4], back[N * 4];
        fill_floats(FILL_RANDOM, q, N, &r);
        fill_floats(FILL_RANDOM, p, POS, &r);
        fill_floats(FILL_RANDOM, x[0], POS * N, &r);
        cache_rows(ops, (enum kv_type)type, x[0], POS, N, keys, values);
        for (int i = 0; i < POS; i++) {
            kv_key_get((enum kv_type)type, keys + (size_t)(i / KV_TILE * KV_TILE) * bytes,
                       i % KV_TILE, back, N);
            assert_memory_equal(back, values + (size_t)i * bytes, bytes);
        }
        query_put(tile, 0, q, N);
        ops->attn_scores[type](scores, tile, 1, keys, POS, N, 0.25f, NULL, 0);
        ops->attn_mix[type](out, 0, p, 1, values, bytes, POS, N, NULL, 0);
        for (int i = 0; i < POS; i++) {
            double want = 0, size = 0;
            for (int k = 0; k < N; k++) {
                want += 0.25 * (double)q[k] * (double)x[i][k];
                size += 0.25 * fabs((double)q[k]) * (type == KV_Q8 ? 16 : fabs((double)x[i][k]));
            }
            assert_true(fabs((double)scores[i] - want) <= (tolerance[type] + 1e-6) * size);
        }
        for (int k = 0; k < N; k++) {
            double want = 0, size = 0;
            for (int i = 0; i < POS; i++) {
                want += (double)p[i] * (double)x[i][k];
                size += fabs((double)p[i]) * (type == KV_Q8 ? 16 : fabs((double)x[i][k]));
            }
            assert_true(fabs((double)out[k] - want) <= (tolerance[type] + 1e-6) * size);
        }
    }
}

/* f16 rounding, every half and the ties between halves */
static void halves_round_to_even(void **state)
{
    (void)state;
    for (int at = 0; kernel_ops_at(at); at++)
        for (uint32_t h = 0; h < 0x7c00; h++) {
            float x = half_to_float((uint16_t)h), next = half_to_float((uint16_t)(h + 1));
            float v[4] = {x, (float)(((double)x + (double)next) / 2), -x, nextafterf(x, INFINITY)};
            uint16_t got[4];
            if (h == 0x7bff)
                v[1] = 65520; /* rounds up to infinity */
            kernel_ops_at(at)->kv_store[KV_F16](got, v, 4);
            assert_int_equal(got[0], h);
            assert_int_equal(got[1], h + (h & 1));
            assert_int_equal(got[2], h | 0x8000);
            assert_int_equal(got[3], h);
        }
}

static void rope_is_right(void **state)
{
    (void)state;
    enum { N = 96, ROT = 72 };
    struct rng r;
    rng_seed(&r, 6);
    for (int pairs = 0; pairs < 2; pairs++) {
        float x[N], y[N], c[ROT / 2], s[ROT / 2];
        fill_floats(FILL_RANDOM, x, N, &r);
        memcpy(y, x, sizeof y);
        for (int i = 0; i < ROT / 2; i++) {
            c[i] = cosf((float)i);
            s[i] = sinf((float)i);
        }
        (pairs ? kernel_ops_at(0)->rope_pairs : kernel_ops_at(0)->rope_half)(y, c, s, ROT);
        for (int i = 0; i < ROT / 2; i++) {
            int a = pairs ? 2 * i : i, b = pairs ? 2 * i + 1 : i + ROT / 2;
            assert_true(fabsf(y[a] - (x[a] * c[i] - x[b] * s[i])) < 1e-5f);
            assert_true(fabsf(y[b] - (x[b] * c[i] + x[a] * s[i])) < 1e-5f);
        }
        assert_memory_equal(y + ROT, x + ROT, (N - ROT) * sizeof *x);
    }
}

/* ---- every table against the scalar one ---- */

static void same_bits(const char *isa, const char *slot, int64_t n, const void *got,
                      const void *want, size_t bytes)
{
    if (memcmp(got, want, bytes) != 0)
        fail_msg("%s %s of %d differs from scalar", isa, slot, (int)n);
}

typedef void run_fn(const struct kernel_ops *ops, float *out, const float *a, const float *b,
                    const float *c, int64_t n);

#define RUN(name, body)                                                                            \
    static void run_##name(const struct kernel_ops *ops, float *out, const float *a,               \
                           const float *b, const float *c, int64_t n)                              \
    {                                                                                              \
        (void)b;                                                                                   \
        (void)c;                                                                                   \
        memcpy(out, a, (size_t)n * sizeof *a);                                                     \
        body;                                                                                      \
    }
RUN(dot, if (n) out[0] = ops->dot(a, b, n))
RUN(add, ops->add(out, b, n))
RUN(axpy, ops->axpy(out, 0.3f, b, n))
RUN(scale, ops->scale(out, 0.3f, n))
RUN(rmsnorm, ops->rmsnorm(out, a, b, 1, 1e-6f, n))
RUN(rmsnorm_plain, ops->rmsnorm(out, a, NULL, 0, 1e-6f, n))
RUN(layernorm, ops->layernorm(out, a, b, c, 1e-6f, n))
RUN(layernorm_plain, ops->layernorm(out, a, NULL, NULL, 1e-6f, n))
RUN(silu, ops->silu(out, a, b, n))
RUN(silu_plain, ops->silu(out, out, NULL, n))
RUN(gelu_tanh, ops->gelu_tanh(out, a, b, n))
RUN(gelu_erf, ops->gelu_erf(out, a, b, n))
RUN(softmax, ops->softmax(out, n))
RUN(max, float s = ops->max(out, n); if (n) out[0] = s)
RUN(exp_sum, float s = ops->exp_sum(out, n, 0.5f); if (n) out[n - 1] += s)
RUN(softcap, ops->softcap(out, 5, n))
RUN(rope_half, ops->rope_half(out, b, c, n / 2 * 2))
RUN(rope_pairs, ops->rope_pairs(out, b, c, n / 2 * 2))

static const struct {
    const char *name;
    run_fn *run;
} slots[] = {
    {"dot", run_dot},
    {"add", run_add},
    {"axpy", run_axpy},
    {"scale", run_scale},
    {"rmsnorm", run_rmsnorm},
    {"rmsnorm without weight", run_rmsnorm_plain},
    {"layernorm", run_layernorm},
    {"layernorm without weight", run_layernorm_plain},
    {"silu", run_silu},
    {"silu alone", run_silu_plain},
    {"gelu_tanh", run_gelu_tanh},
    {"gelu_erf", run_gelu_erf},
    {"softmax", run_softmax},
    {"max", run_max},
    {"exp sum", run_exp_sum},
    {"softcap", run_softcap},
    {"rope_half", run_rope_half},
    {"rope_pairs", run_rope_pairs},
};

static void tables_agree(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 8);
    for (int at = 1; kernel_ops_at(at); at++)
        for (size_t s = 0; s < sizeof slots / sizeof slots[0]; s++)
            for (int k = 0; k < N_LENGTHS; k++)
                for (enum fill fill = 0; fill < N_FILLS; fill++) {
                    int64_t n = lengths[k];
                    size_t bytes = (size_t)n * sizeof(float);
                    struct guarded a = guarded_new(bytes), b = guarded_new(bytes),
                                   c = guarded_new(bytes), out = guarded_new(bytes);
                    float want[MAX_N];
                    fill_floats(fill, (float *)a.p, n, &r);
                    fill_floats(fill, (float *)b.p, n, &r);
                    fill_floats(fill, (float *)c.p, n, &r);
                    slots[s].run(kernel_ops_at(0), want, (float *)a.p, (float *)b.p, (float *)c.p,
                                 n);
                    slots[s].run(kernel_ops_at(at), (float *)out.p, (float *)a.p, (float *)b.p,
                                 (float *)c.p, n);
                    same_bits(kernel_ops_at(at)->isa, slots[s].name, n, out.p, want, bytes);
                    guarded_free(a);
                    guarded_free(b);
                    guarded_free(c);
                    guarded_free(out);
                }
}

/* Both products of one cache with those of the scalar table, for n_q queries over n_pos positions.
 */
static void attention_agrees(const struct kernel_ops *ops, enum kv_type type, const uint8_t *keys,
                             const uint8_t *values, int64_t n_q, int64_t n_pos, int64_t n,
                             struct rng *r)
{
    const struct kernel_ops *ref = kernel_ops_at(0);
    size_t bytes = kv_row_bytes(type, n), state = (size_t)n + ATTN_STATE;
    int64_t queries = query_floats(n_q, n);
    struct guarded q = guarded_new((size_t)queries * 4),
                   got = guarded_new((size_t)(n_q * KV_PAGE) * 4),
                   states = guarded_new((size_t)n_q * state * 4);
    float *want = malloc((size_t)(n_q * KV_PAGE) * sizeof *want),
          *before = malloc((size_t)n_q * state * sizeof *before);
    assert_true(want && before);
    fill_floats(FILL_RANDOM, (float *)q.p, queries, r);
    ref->attn_scores[type](want, (float *)q.p, n_q, keys, n_pos, n, 0.1f, NULL, 0);
    ops->attn_scores[type]((float *)got.p, (float *)q.p, n_q, keys, n_pos, n, 0.1f, keys, bytes);
    for (int64_t i = 0; i < n_q; i++)
        same_bits(ops->isa, "attn_scores", n, (float *)got.p + i * KV_PAGE, want + i * KV_PAGE,
                  (size_t)n_pos * 4);

    fill_floats(FILL_RANDOM, before, n_q * (int64_t)state, r);
    before[0] = -INFINITY;
    memcpy(states.p, before, (size_t)n_q * state * 4);
    ref->attn_weights(before, (int64_t)state, n, want, n_q, n_pos);
    ops->attn_weights((float *)states.p, (int64_t)state, n, (float *)got.p, n_q, n_pos);
    same_bits(ops->isa, "attn_weights", n, states.p, before, (size_t)n_q * state * 4);
    for (int64_t i = 0; i < n_q; i++)
        same_bits(ops->isa, "weights", n, (float *)got.p + i * KV_PAGE, want + i * KV_PAGE,
                  (size_t)n_pos * 4);

    ref->attn_mix[type](before + ATTN_STATE, (int64_t)state, want, n_q, values, bytes, n_pos, n,
                        NULL, 0);
    ops->attn_mix[type]((float *)states.p + ATTN_STATE, (int64_t)state, want, n_q, values, bytes,
                        n_pos, n, values, bytes);
    same_bits(ops->isa, "attn_mix", n, states.p, before, (size_t)n_q * state * 4);
    guarded_free(q);
    guarded_free(got);
    guarded_free(states);
    free(want);
    free(before);
}

/* What is made float first must give what is read as it is cached. */
static void expansion_agrees(const struct kernel_ops *ops, enum kv_type type, const uint8_t *keys,
                             const uint8_t *values, int64_t n_pos, int64_t n, const float *x)
{
    int64_t tiles = kv_whole_tiles(n_pos);
    size_t bytes = kv_row_bytes(type, n);
    struct guarded wide = guarded_new((size_t)(tiles * n) * 4),
                   rows = guarded_new((size_t)(n_pos * n) * 4);
    float *want = malloc((size_t)n * 4);
    unsigned char *row = malloc(bytes);
    assert_true(want && row);
    ops->kv_expand_keys[type]((float *)wide.p, keys, n_pos, n);
    ops->kv_expand_values[type]((float *)rows.p, values, n_pos, n);
    for (int64_t i = 0; i < n_pos; i++) {
        float *key = (float *)wide.p + i / KV_TILE * KV_TILE * n + i % KV_TILE;
        const uint8_t *half = values + (size_t)i * bytes;
        for (int64_t d = 0; d < n; d++) {
            uint16_t h;
            memcpy(&h, half + (type == KV_F16 ? 2 * d : d / 32 * 34), 2);
            want[d] = type == KV_F16
                          ? half_to_float(h)
                          : half_to_float(h) * (float)(int8_t)half[d / 32 * 34 + 2 + d % 32];
            assert_true(key[d * KV_TILE] == want[d]);
        }
        same_bits(ops->isa, "kv_expand_values", n, (float *)rows.p + i * n, want, (size_t)n * 4);
        assert_true(fabsf(want[0] - x[i * n]) <= 0.2f);
    }
    guarded_free(wide);
    guarded_free(rows);
    free(want);
    free(row);
}

static void kv_tables_agree(void **state)
{
    (void)state;
    static const int64_t dims[] = {1, 16, 31, 32, 64, 80, 96, 128, 192, 256};
    enum { POS = 61 };
    struct rng r;
    rng_seed(&r, 9);
    for (int at = 0; kernel_ops_at(at); at++)
        for (int t = 0; t < 3; t++)
            for (int k = 0; k < 10; k++) {
                const struct kernel_ops *ops = kernel_ops_at(at), *ref = kernel_ops_at(0);
                enum kv_type type = (enum kv_type)t;
                int64_t n = dims[k];
                size_t bytes = kv_row_bytes(type, n), tiles = (size_t)kv_whole_tiles(POS) * bytes;
                struct guarded keys = guarded_new(tiles), values = guarded_new(POS * bytes),
                               same = guarded_new(POS * bytes);
                float x[POS * 256];
                fill_floats(FILL_RANDOM, x, POS * n, &r);
                fill_floats(FILL_ZERO, x + 3 * n, n, &r);
                memset(keys.p, 0xff, tiles); /* positions that are not used: NaN */
                cache_rows(ref, type, x, POS, n, keys.p, values.p);
                for (size_t i = 0; i < POS; i++)
                    ops->kv_store[type](same.p + i * bytes, x + (int64_t)i * n, n);
                same_bits(ops->isa, "kv_store", n, same.p, values.p, POS * bytes);
                if (type != KV_F32)
                    expansion_agrees(ops, type, keys.p, values.p, POS, n, x);
                for (int64_t n_q = 1; n_q <= 11 && at > 0; n_q++)
                    attention_agrees(ops, type, keys.p, values.p, n_q, n_q == 2 ? 37 : POS, n, &r);
                guarded_free(keys);
                guarded_free(values);
                guarded_free(same);
            }
}

/* HEARTH_CPU_DISABLE is read once: this program only looks at what the run was started with. */
static void disabled_features_are_gone(void **state)
{
    (void)state;
    struct err err;
    const char *off = getenv("HEARTH_CPU_DISABLE");
    if (off && strstr(off, "nonsense")) {
        assert_int_equal(kernel_check(&err), EUSAGE);
        assert_non_null(strstr(err.msg, "'nonsense'"));
        return;
    }
    assert_int_equal(kernel_check(&err), OK);
    assert_string_equal(kernel_ops_at(0)->isa, "scalar");
    assert_null(kernel_ops_at(-1));
    if (off && strcmp(off, "avx2") == 0)
        assert_null(strstr(kernel_cpu_features(), "avx2"));
    int last = 0;
    while (kernel_ops_at(last + 1))
        last++;
    assert_true(kernel_ops() == kernel_ops_at(last));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_right), cmocka_unit_test(softcap_is_right),
        cmocka_unit_test(softmax_is_right),      cmocka_unit_test(norms_are_right),
        cmocka_unit_test(kv_rows_are_right),     cmocka_unit_test(halves_round_to_even),
        cmocka_unit_test(rope_is_right),         cmocka_unit_test(tables_agree),
        cmocka_unit_test(kv_tables_agree),       cmocka_unit_test(disabled_features_are_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
