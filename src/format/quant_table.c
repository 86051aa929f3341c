/* Which width of vectors the quantizers use. */
#include "format/quant_table.h"
#include "format/quant_int.h"
#include <stdatomic.h>
#include <stdlib.h>

extern const struct quantizers quantizers_base;
#if defined(__x86_64__)
extern const struct quantizers quantizers_avx2, quantizers_avx512;
#endif

const struct quantizers *quantizers_at(int i)
{
    const struct quantizers *list[4] = {&quantizers_base};
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2)
        list[1] = &quantizers_avx2;
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        list[2] = &quantizers_avx512;
#endif
    return i >= 0 && i < 4 ? list[i] : NULL;
}

/* name is one of the comma-separated list's */
static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == 0))
            return true;
    }
    return false;
}

const struct quantizers *quantizers(void)
{
    static _Atomic(const struct quantizers *) chosen;
    const struct quantizers *q = atomic_load_explicit(&chosen, memory_order_acquire);
    if (q)
        return q;
    const char *without = getenv("HEARTH_CPU_DISABLE");
    q = quantizers_at(0);
    for (int i = 1; quantizers_at(i) && !(i == 1 && listed(without, "avx2")) &&
                    !(i == 2 && listed(without, "avx512f"));
         i++)
        q = quantizers_at(i);
    atomic_store_explicit(&chosen, q, memory_order_release);
    return q;
}

#define X(type)                                                                                    \
    void type##_quantize(const float *src, void *dst, int64_t n, const float *weight)              \
    {                                                                                              \
        quantizers()->type##_quantize(src, dst, n, weight);                                        \
    }
QUANTIZED_TYPES(X)
#undef X

void f16_dequantize(const void *src, float *dst, int64_t n)
{
    quantizers()->f16_dequantize(src, dst, n);
}

void bf16_dequantize(const void *src, float *dst, int64_t n)
{
    quantizers()->bf16_dequantize(src, dst, n);
}
