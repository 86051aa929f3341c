/* Which instruction sets this CPU and its operating system have, and the table to use.
 *
 * Own cpuid and xgetbv: __builtin_cpu_supports does not know all names in all compilers. The choice
 * is made once and cached; HEARTH_CPU_DISABLE (names separated by commas) is read at that time. */
#include "kernel/tables.h"
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
/* F(bit, name): weakest first */
#define FEATURES(F)                                                                                \
    F(AVX2, avx2)                                                                                  \
    F(FMA, fma)                                                                                    \
    F(F16C, f16c)                                                                                  \
    F(AVX512F, avx512f)                                                                            \
    F(AVX512BW, avx512bw)                                                                          \
    F(AVX512DQ, avx512dq)                                                                          \
    F(AVX512VL, avx512vl)                                                                          \
    F(AVX512VNNI, avx512vnni)                                                                      \
    F(AVX512VBMI, avx512vbmi)                                                                      \
    F(AVX512BF16, avx512bf16)
#elif defined(__aarch64__)
#define FEATURES(F)                                                                                \
    F(NEON, neon)                                                                                  \
    F(DOTPROD, dotprod)                                                                            \
    F(I8MM, i8mm)                                                                                  \
    F(BF16, bf16)
#else
#define FEATURES(F) F(NONE, none)
#endif

enum {
#define F(bit, name) I_##bit,
    FEATURES(F)
#undef F
        N_FEATURES
};
enum {
#define F(bit, name) bit = 1 << I_##bit,
    FEATURES(F)
#undef F
};
static const char *const feature_names[N_FEATURES] = {
#define F(bit, name) #name,
    FEATURES(F)
#undef F
};

#if defined(__x86_64__)
enum {
    AVX2_BASE = AVX2 | FMA | F16C,
    AVX512_BASE = AVX2_BASE | AVX512F | AVX512BW | AVX512DQ | AVX512VL,
};
#endif

/* Tables by strength with what each needs. */
static const struct {
    uint32_t needs;
    const struct kernel_ops *ops;
} tables[] = {
    {0, &kernel_ops_scalar},
#if defined(__x86_64__)
    {AVX2_BASE, &kernel_ops_avx2},
    {AVX512_BASE, &kernel_ops_avx512},
    {AVX512_BASE | AVX512VNNI, &kernel_ops_vnni},
#elif defined(__aarch64__)
    {NEON, &kernel_ops_neon},
    {NEON | DOTPROD, &kernel_ops_dotprod},
    {NEON | DOTPROD | I8MM, &kernel_ops_i8mm},
#endif
};
enum { N_TABLES = sizeof tables / sizeof tables[0] };

#if defined(__x86_64__)
static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static uint32_t detect(void)
{
    uint32_t a, b, c, d, got = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) /* OSXSAVE: xgetbv may be used */
        return 0;
    uint64_t xcr0 = read_xcr0();
    bool ymm = (xcr0 & 0x6) == 0x6, zmm = (xcr0 & 0xe6) == 0xe6;
    if (ymm && c >> 12 & 1)
        got |= FMA;
    if (ymm && c >> 29 & 1)
        got |= F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return got;
    uint32_t max_subleaf = a;
    if (ymm && b >> 5 & 1)
        got |= AVX2;
    if (zmm) {
        got |= b >> 16 & 1 ? AVX512F : 0;
        got |= b >> 30 & 1 ? AVX512BW : 0;
        got |= b >> 17 & 1 ? AVX512DQ : 0;
        got |= b >> 31 & 1 ? AVX512VL : 0;
        got |= c >> 11 & 1 ? AVX512VNNI : 0;
        got |= c >> 1 & 1 ? AVX512VBMI : 0;
        if (max_subleaf >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1)
            got |= AVX512BF16;
    }
    return got;
}
#elif defined(__aarch64__)
static uint32_t detect(void)
{
    unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
    uint32_t got = NEON; /* part of the base architecture */
    got |= cap >> 20 & 1 ? DOTPROD : 0;
    got |= cap2 >> 13 & 1 ? I8MM : 0;
    got |= cap2 >> 14 & 1 ? BF16 : 0;
    return got;
}
#else
static uint32_t detect(void)
{
    return 0;
}
#endif

/* Chosen once under pthread_once, constant afterwards. */
static struct {
    pthread_once_t once;
    uint32_t features;
    int n;                                  /* usable tables */
    const struct kernel_ops *ops[N_TABLES]; /* by strength */
    char names[32 * N_FEATURES];
    char bad[64]; /* the first unknown name in HEARTH_CPU_DISABLE */
} cpu = {.once = PTHREAD_ONCE_INIT};

static void disable(const char *list)
{
    while (*list) {
        size_t n = strcspn(list, ",");
        bool known = n == 0;
        for (int i = 0; i < N_FEATURES; i++)
            if (strlen(feature_names[i]) == n && memcmp(feature_names[i], list, n) == 0) {
                cpu.features &= ~(1u << i);
                known = true;
            }
        if (!known && cpu.bad[0] == '\0')
            snprintf(cpu.bad, sizeof cpu.bad, "%.*s", (int)(n < 60 ? n : 60), list);
        list += n + (list[n] == ',');
    }
}

static void choose(void)
{
    const char *list = getenv("HEARTH_CPU_DISABLE");
    cpu.features = detect();
    if (list)
        disable(list);
    for (int i = 0; i < N_FEATURES; i++)
        if (cpu.features >> i & 1) {
            size_t n = strlen(cpu.names);
            snprintf(cpu.names + n, sizeof cpu.names - n, "%s%s", n ? " " : "", feature_names[i]);
        }
    for (int i = 0; i < N_TABLES; i++)
        if ((cpu.features & tables[i].needs) == tables[i].needs)
            cpu.ops[cpu.n++] = tables[i].ops;
}

const struct kernel_ops *kernel_ops(void)
{
    pthread_once(&cpu.once, choose);
    return cpu.ops[cpu.n - 1];
}

const struct kernel_ops *kernel_ops_at(int i)
{
    pthread_once(&cpu.once, choose);
    return i >= 0 && i < cpu.n ? cpu.ops[i] : NULL;
}

const char *kernel_cpu_features(void)
{
    pthread_once(&cpu.once, choose);
    return cpu.names;
}

enum status kernel_check(struct err *err)
{
    pthread_once(&cpu.once, choose);
    if (cpu.bad[0] == '\0')
        return OK;
    char known[256] = "";
    for (int i = 0; i < N_FEATURES; i++) {
        size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", feature_names[i]);
    }
    return err_set(err, EUSAGE, "HEARTH_CPU_DISABLE: unknown feature '%s', expected some of %s",
                   cpu.bad, known);
}
