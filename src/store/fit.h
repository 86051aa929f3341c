/* Which models of the catalogue fit a machine, at which quantization and context, and how fast they
 * should run, before anything is fetched.
 *
 * Sizes are exact: the plan of tensors that synth.h writes, with the types that the recipe gives
 * each. Speeds are predictions from the machine's limits and the shares of them that Hearth was
 * measured to reach (bench/RESULTS.md):
 *
 *   seconds a token written = weights read / (bandwidth x FIT_DECODE_SHARE)
 *                           + cache read / (bandwidth x FIT_KV_SHARE), half the context deep
 *   seconds a token read    = products / (peak of products x FIT_PREFILL_SHARE)
 *
 * Of a mixture of experts the weights read are those of the experts in use. Machines are this one,
 * measured, a tier of tiers.def, or what the caller says. */
#pragma once
#include "engine/synth.h"
#include "store/catalog.h"

/* Medians over the rows of bench/RESULTS.md: 18 of decode (71 to 91%) and of prefill (21 to 43%) of
 * block types; attention at 8,192 tokens on two threads (45%; on 16, at 32,700, 36 to 40%). */
#define FIT_DECODE_SHARE  0.82
#define FIT_KV_SHARE      0.45
#define FIT_PREFILL_SHARE 0.35

enum { FIT_DEFAULT_CTX = 4096, FIT_TYPES = 16 };
/* Below this reading the answer as it comes is waiting: 250 words a minute are 5.5 tokens a second.
 */
#define FIT_DEFAULT_SPEED 5.0

struct fit_tier {
    const char *name, *what;
    double ram_gb, read_gb_s, int8_gop_s, f32_gop_s;
    const char *cpu_source;
    double gpu_gb, gpu_read_gb_s; /* 0: no GPU of its own */
    const char *gpu_source;
};
/* Ended by a row whose name is NULL. */
extern const struct fit_tier fit_tiers[];

/* What is asked for; zero where nothing was said (fit_request_init for the rest). */
struct fit_request {
    const struct fit_tier *tier;
    uint64_t ram, gpu;               /* bytes in all */
    double bandwidth, gpu_bandwidth; /* GB/s */
    int64_t ctx;                     /* must fit, and be trained; 0: FIT_DEFAULT_CTX or trained */
    enum kv_type kv;                 /* KV_F16 or KV_Q8 */
    double speed;                    /* tokens a second that are usable */
    bool all;                        /* every quantization, not the chosen one alone */
    char model[64];                  /* only models whose name, or Ollama's, begins with it */
};
void fit_request_init(struct fit_request *r);
/* One option by its name ("ram"), as text. label is the name as the user knows it ("--ram"), for
 * messages. EUSAGE: no such option, or a value that makes no sense. */
NODISCARD enum status fit_request_set(struct fit_request *r, const char *name, const char *label,
                                      struct str value, struct err *err);
/* Names that fit_request_set knows; NULL past the last. */
const char *fit_option_name(size_t i);

/* ---- machines ---- */

/* This machine's limits, as kernel/probe.h finds them. threads: 0 for every usable core. Takes some
 * 0.2 s and 256 MB. */
struct fit_limits {
    double read_gb_s, int8_gop_s, f32_gop_s;
    int threads;
};
NODISCARD enum status fit_measure(struct fit_limits *out, int threads, struct err *err);
/* Whether fit_machine_of needs them: nothing else says what the bandwidth is. */
bool fit_needs_limits(const struct fit_request *r);

/* Something that could compute. Limits that are not known are 0. */
struct fit_device {
    const char *name;       /* "cpu" or "gpu" */
    bool computes;          /* false: a GPU, which this version does not use */
    uint64_t total, memory; /* bytes in all (0: not known), and for a model */
    double read_gb_s, int8_gop_s, f32_gop_s;
    char memory_source[96], source[256]; /* where the numbers come from, for people */
};
struct fit_machine {
    struct fit_device device[2]; /* the CPU first */
    int n;
};
/* here: this machine's limits; NULL where fit_needs_limits says so. */
NODISCARD enum status fit_machine_of(struct fit_machine *out, const struct fit_request *r,
                                     const struct fit_limits *here, struct err *err);

/* Bytes of a memory of that size that a model can have; the rest is the system's: 3 GiB or an
 * eighth, whichever is more, but at most a quarter. */
uint64_t fit_share_of_ram(uint64_t total);

/* ---- models ---- */

/* One model in one quantization on one device. */
struct fit_row {
    const struct recipe *recipe;
    uint64_t weight_bytes;  /* of all tensors, exact */
    uint64_t file_bytes;    /* with vocabulary and metadata, within a percent */
    int64_t ctx;            /* tokens that must fit: those asked for, else at most the trained */
    uint64_t kv_f16, kv_q8; /* cache of that many tokens */
    uint64_t memory; /* that running it takes: weights, cache of the kind asked for, scratch */
    int64_t max_ctx_f16, max_ctx_q8; /* most tokens that fit, at most trained; 0: none */
    int64_t max_ctx;                 /* of the kind asked for */
    bool fits;                       /* max_ctx >= ctx */
    double decode_tok_s;             /* 0: not known, or an encoder */
    double prefill_tok_s;            /* of a prompt of some hundred tokens; 0: not known */
};

enum fit_verdict { FIT_NO, FIT_SLOW, FIT_YES };

struct fit {
    const struct catalog_model *model;
    const struct synth_shape *shape;
    bool encoder;
    struct fit_row row[FIT_TYPES]; /* best quality first */
    int n;
    /* The chosen row: the best quality from q8_0 to q4_k_m that fits and is usably fast. Where none
     * is fast enough, the smallest of these (FIT_SLOW); where none fits, the best of q4_0, q3_k_m
     * and q2_k that does; else the smallest of all (FIT_NO). */
    int chosen;
    enum fit_verdict verdict;
};
NODISCARD enum status fit_model(struct fit *out, const struct catalog_model *m,
                                const struct fit_device *d, const struct fit_request *r,
                                struct err *err);
/* Whether the request's `model` names it. */
bool fit_wants(const struct fit_request *r, const struct catalog_model *m);
const char *fit_verdict_name(enum fit_verdict v); /* "yes", "slow", "no" */

/* The whole answer as a JSON object (docs/fit.md). ENOTFOUND: no model of that name. */
NODISCARD enum status fit_write_json(struct buf *out, const struct fit_machine *m,
                                     const struct fit_request *r, struct err *err);
