/* The machine that models are to fit: this one, a tier's, or one that was described. */
#include "store/fit.h"
#include "base/machine.h"
#include "kernel/probe.h"
#include <stdio.h>
#include <unistd.h>

#define GIB ((uint64_t)1 << 30)

#define TIER(name_, what_, ram_, read_, int8_, f32_, source_, gpu_, gpu_read_, gpu_source_)        \
    {.name = name_,                                                                                \
     .what = what_,                                                                                \
     .ram_gb = ram_,                                                                               \
     .read_gb_s = read_,                                                                           \
     .int8_gop_s = int8_,                                                                          \
     .f32_gop_s = f32_,                                                                            \
     .cpu_source = source_,                                                                        \
     .gpu_gb = gpu_,                                                                               \
     .gpu_read_gb_s = gpu_read_,                                                                   \
     .gpu_source = gpu_source_},
const struct fit_tier fit_tiers[] = {
#include "store/tiers.def"
    {.name = NULL},
};
#undef TIER

enum status fit_measure(struct fit_limits *out, int threads, struct err *err)
{
    struct pool *pool;
    struct probe_bandwidth read;
    *out = (struct fit_limits){0};
    enum status s = pool_new(&pool, threads, err);
    if (s == OK)
        s = probe_read(&read, pool, 0, 0, err);
    if (s == OK) {
        const char *isa = kernel_ops()->isa;
        out->threads = pool_size(pool);
        out->read_gb_s = read.median_gb_s;
        out->int8_gop_s = probe_int8_gop_s(pool, isa);
        out->f32_gop_s = probe_f32_gop_s(pool, isa);
    }
    pool_free(pool);
    return s;
}

bool fit_needs_limits(const struct fit_request *r)
{
    return !r->tier && !(r->bandwidth > 0);
}

uint64_t fit_share_of_ram(uint64_t total)
{
    uint64_t system = total / 8 > 3 * GIB ? total / 8 : 3 * GIB;
    return total - (system < total / 4 ? system : total / 4);
}

/* A GPU's driver and its screen take little. */
static uint64_t share_of_gpu(uint64_t total)
{
    return total - total / 16;
}

static enum status set_memory(struct fit_device *d, const struct fit_request *r, struct err *err)
{
    static const char kept[] = "what is said, less what the system needs";
    d->total = r->ram ? r->ram : r->tier ? (uint64_t)(r->tier->ram_gb * (double)GIB) : 0;
    if (d->total) {
        d->memory = fit_share_of_ram(d->total);
        snprintf(d->memory_source, sizeof d->memory_source, "%s", kept);
        return OK;
    }
    d->total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    enum status s = memory_to_use(&d->memory, err);
    if (s == OK && d->memory == UINT64_MAX)
        d->memory = fit_share_of_ram(d->total);
    snprintf(d->memory_source, sizeof d->memory_source, "%s",
             "what this machine has free, cached files included");
    return s;
}

static void set_limits(struct fit_device *d, const struct fit_request *r,
                       const struct fit_limits *here)
{
    if (r->bandwidth > 0) { /* of the products nothing is known, unless a tier says so */
        d->read_gb_s = r->bandwidth;
        snprintf(d->source, sizeof d->source, "%s", "the bandwidth that was said");
    }
    if (r->tier) {
        d->int8_gop_s = r->tier->int8_gop_s;
        d->f32_gop_s = r->tier->f32_gop_s;
        if (r->bandwidth > 0)
            return;
        d->read_gb_s = r->tier->read_gb_s;
        snprintf(d->source, sizeof d->source, "%s", r->tier->cpu_source);
    } else if (here && !(r->bandwidth > 0)) {
        d->read_gb_s = here->read_gb_s;
        d->int8_gop_s = here->int8_gop_s;
        d->f32_gop_s = here->f32_gop_s;
        snprintf(d->source, sizeof d->source, "measured on this machine with %d thread%s",
                 here->threads, here->threads == 1 ? "" : "s");
    }
}

static void set_gpu(struct fit_device *d, const struct fit_request *r)
{
    const struct fit_tier *t = r->tier;
    bool own = r->gpu_bandwidth > 0;
    d->total = r->gpu ? r->gpu : (uint64_t)(t->gpu_gb * (double)GIB);
    d->memory = share_of_gpu(d->total);
    snprintf(d->memory_source, sizeof d->memory_source, "%s", "what is said, less a sixteenth");
    d->read_gb_s = own ? r->gpu_bandwidth : t ? t->gpu_read_gb_s : 0;
    snprintf(d->source, sizeof d->source, "%s",
             own                ? "the bandwidth that was said"
             : d->read_gb_s > 0 ? t->gpu_source
                                : "no bandwidth was said (--gpu-bandwidth)");
}

enum status fit_machine_of(struct fit_machine *out, const struct fit_request *r,
                           const struct fit_limits *here, struct err *err)
{
    *out = (struct fit_machine){.n = 1};
    out->device[0].name = "cpu";
    out->device[0].computes = true;
    if (r->gpu_bandwidth > 0 && !r->gpu && !(r->tier && r->tier->gpu_gb > 0))
        return err_set(err, EUSAGE, "a GPU's bandwidth without a GPU, expected its memory too");
    enum status s = set_memory(&out->device[0], r, err);
    if (s != OK)
        return s;
    set_limits(&out->device[0], r, here);
    if (r->gpu || (r->tier && r->tier->gpu_gb > 0)) {
        out->n = 2;
        out->device[1].name = "gpu";
        set_gpu(&out->device[1], r);
    }
    return OK;
}
