#include "server/hub.h"
#include <stdlib.h>

struct sample {
    struct str name;
    struct sched_stats stats;
    double weight_bytes, kv_bytes;
};

enum { MAX_MODELS = 256 };

struct samples {
    struct sample v[MAX_MODELS];
    size_t n;
    struct buf names;
};

static void gather(void *ctx, const struct hub_model *m)
{
    struct samples *s = ctx;
    if (s->n == MAX_MODELS)
        return;
    struct sample *x = &s->v[s->n++];
    *x = (struct sample){.stats = m->stats,
                         .weight_bytes = (double)m->weight_bytes,
                         .kv_bytes = (double)m->kv_bytes};
    /* names are offsets until all are there: the buffer moves */
    x->name = (struct str){NULL, s->names.n};
    buf_addstr(&s->names, m->name);
    buf_addc(&s->names, 0);
}

static double value(const struct sample *x, int row)
{
    const struct sched_stats *s = &x->stats;
    switch (row) {
    case 0:
    case 13: return s->running;
    case 1:
    case 14: return s->waiting;
    case 2: return (double)s->prompt_tokens;
    case 3: return (double)s->cached_tokens;
    case 4: return (double)s->answer_tokens;
    case 5: return (double)s->preempted;
    case 6: return (double)s->steps;
    case 7: return s->busy_s;
    case 8:
    case 15: return s->kv_tokens ? (double)s->kv_used / (double)s->kv_tokens : 0;
    case 9: return x->weight_bytes;
    case 11: return (double)s->drafted;
    case 12: return (double)s->accepted;
    default: return x->kv_bytes;
    }
}

void hub_metrics(struct hub *h, struct buf *out)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
        {"hearth_requests_running", "gauge", "requests whose answers are being written"},
        {"hearth_requests_waiting", "gauge", "requests that wait for room"},
        {"hearth_prompt_tokens_total", "counter", "tokens of prompts"},
        {"hearth_cached_tokens_total", "counter", "of these, not computed again"},
        {"hearth_answer_tokens_total", "counter", "tokens of answers"},
        {"hearth_preemptions_total", "counter", "answers that gave their pages back for a while"},
        {"hearth_steps_total", "counter", "steps of the engine"},
        {"hearth_busy_seconds_total", "counter", "time in which the engine computed"},
        {"hearth_kv_cache_usage_ratio", "gauge", "part of the KV cache that running requests hold"},
        {"hearth_weight_bytes", "gauge", "bytes of weights"},
        {"hearth_kv_cache_bytes", "gauge", "bytes reserved for the KV cache"},
        {"hearth_drafted_tokens_total", "counter", "tokens that were guessed ahead"},
        {"hearth_accepted_tokens_total", "counter", "of these, right"},
        {"vllm:num_requests_running", "gauge", "hearth_requests_running by vLLM's name"},
        {"vllm:num_requests_waiting", "gauge", "hearth_requests_waiting by vLLM's name"},
        {"vllm:kv_cache_usage_perc", "gauge", "hearth_kv_cache_usage_ratio by vLLM's name"},
    };
    struct samples *s = calloc(1, sizeof *s);
    if (!s)
        return;
    buf_init(&s->names, 1 << 20);
    hub_each(h, gather, s);
    for (size_t r = 0; r < sizeof rows / sizeof *rows && s->n && !s->names.failed; r++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[r].name, rows[r].help, rows[r].name,
                   rows[r].type);
        for (size_t i = 0; i < s->n; i++) /* a name has no character that needs an escape */
            buf_printf(out, "%s{model_name=\"%s\"} %.17g\n", rows[r].name,
                       s->names.p + s->v[i].name.n, value(&s->v[i], (int)r));
    }
    buf_release(&s->names);
    free(s);
}
