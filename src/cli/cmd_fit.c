/* hearth fit: the catalogue against a machine, as a table for people or as JSON. */
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/table.h"
#include "base/show.h"
#include "store/fit.h"
#include "store/info.h"
#include <stdio.h>

enum { OUTPUT_BYTES = 4 << 20 };

/* Options that were given, in the words of fit_request_set. */
static enum status request_from(struct fit_request *r, const struct options *o, struct err *err)
{
    const struct {
        const char *name, *value;
    } given[] = {{"tier", o->tier},
                 {"ram", o->ram},
                 {"bandwidth", o->bandwidth},
                 {"gpu", o->gpu},
                 {"gpu-bandwidth", o->gpu_bandwidth},
                 {"ctx", o->fit_ctx},
                 {"kv", o->kv},
                 {"speed", o->speed},
                 {"model", o->n_args ? o->args[0] : NULL}};
    enum status s = OK;
    fit_request_init(r);
    r->all = o->all;
    for (size_t i = 0; s == OK && i < sizeof given / sizeof *given; i++) {
        char label[32];
        bool model = strcmp(given[i].name, "model") == 0;
        snprintf(label, sizeof label, "%s%s", model ? "" : "--", given[i].name);
        if (given[i].value)
            s = fit_request_set(r, given[i].name, label, str_from(given[i].value), err);
    }
    return s;
}

/* ---- cells ---- */

static void cell_tokens(struct table *t, int64_t n)
{
    char text[32];
    if (n >= 1024)
        snprintf(text, sizeof text, "%lldK", (long long)(n / 1024));
    else
        snprintf(text, sizeof text, "%lld", (long long)n);
    table_cell(t, n > 0 ? text : "-");
}

static void cell_speed(struct table *t, double v)
{
    char text[32];
    snprintf(text, sizeof text, v < 9.95 ? "%.1f" : "%.0f", v);
    table_cell(t, v > 0 ? text : "-");
}

static void cell_bytes(struct table *t, uint64_t n)
{
    char text[32];
    human_bytes(n, text, sizeof text);
    table_cell(t, text);
}

static void cell_uses(struct table *t, unsigned uses)
{
    struct buf text;
    buf_init(&text, 1024);
    for (int i = 0; catalog_use_name(i); i++)
        if (uses & 1u << i)
            buf_printf(&text, "%s%s", text.n ? ", " : "", catalog_use_name(i));
    table_cell(t, text.p ? text.p : "");
    buf_release(&text);
}

/* ---- tables ---- */

static void heads(struct table *t, const char *const *names, size_t n)
{
    table_init(t, n);
    for (size_t i = 0; i < n; i++)
        table_cell(t, names[i]);
}

/* One row a model: what was chosen. Encoders write nothing; their speed is that of reading. */
static void add_choice(struct table *t, const struct fit *f)
{
    const struct fit_row *row = &f->row[f->chosen];
    double speed = f->encoder ? row->prefill_tok_s : row->decode_tok_s;
    table_cell(t, f->model->name);
    table_cell(t, fit_verdict_name(f->verdict));
    table_cell(t, row->recipe->name);
    cell_bytes(t, row->file_bytes);
    cell_tokens(t, row->max_ctx);
    cell_speed(t, f->verdict == FIT_NO ? 0 : speed);
    cell_uses(t, f->model->uses);
    table_cell(t, f->model->licence);
}

/* --all: one row a quantization. */
static void add_rows(struct table *t, const struct fit *f)
{
    for (int i = 0; i < f->n; i++) {
        const struct fit_row *row = &f->row[i];
        char fits[16];
        snprintf(fits, sizeof fits, "%s%s", row->fits ? "yes" : "no",
                 i == f->chosen && f->verdict != FIT_NO ? " *" : "");
        table_cell(t, f->model->name);
        table_cell(t, fits);
        table_cell(t, row->recipe->name);
        cell_bytes(t, row->file_bytes);
        cell_bytes(t, row->memory);
        cell_tokens(t, row->max_ctx);
        cell_speed(t, row->decode_tok_s);
        cell_speed(t, row->prefill_tok_s);
    }
}

static enum status print_models(const struct fit_device *d, const struct fit_request *r,
                                struct err *err)
{
    static const char *const choice[] = {"MODEL",   "FITS",  "TYPE",     "SIZE",
                                         "CONTEXT", "TOK/S", "GOOD FOR", "LICENCE"};
    static const char *const every[] = {"MODEL",  "FITS",    "TYPE",  "SIZE",
                                        "MEMORY", "CONTEXT", "TOK/S", "PROMPT TOK/S"};
    struct table t;
    struct fit f;
    enum status s = OK;
    int found = 0;
    heads(&t, r->all ? every : choice, 8);
    for (const struct catalog_model *m = catalog; s == OK && m->name; m++) {
        if (!fit_wants(r, m))
            continue;
        found++;
        s = fit_model(&f, m, d, r, err);
        if (s == OK && r->all)
            add_rows(&t, &f);
        else if (s == OK)
            add_choice(&t, &f);
    }
    if (s == OK && !found)
        s = err_set(err, ENOTFOUND, "no model of the catalogue is called '%s'",
                    show(str_from(r->model)).s);
    if (s == OK)
        s = table_print(&t, 0, err);
    table_release(&t);
    return s;
}

static void print_device(const struct fit_device *d, const struct fit_request *r)
{
    bool gpu = !d->computes;
    if (gpu)
        puts("\nThe GPU. This version of Hearth computes on the CPU: what follows is predicted "
             "from\n"
             "the GPU's memory and bandwidth alone, for a time when it does not.");
    else if (r->tier)
        printf("%s: %s\n", r->tier->name, r->tier->what);
    printf("memory     %.1f GB for models (%s)\n", (double)d->memory * 1e-9, d->memory_source);
    printf("bandwidth  ");
    if (d->read_gb_s > 0)
        printf("%.1f GB/s (%s)\n", d->read_gb_s, d->source);
    else
        printf("not known: %s\n", d->source);
    if (d->int8_gop_s > 0)
        printf("products   %.0f GOP/s of int8, %.0f of float32\n", d->int8_gop_s, d->f32_gop_s);
    putchar('\n');
}

static void print_notes(const struct fit_request *r)
{
    printf(
        "\nSIZE is the file's. CONTEXT: the most tokens that fit beside the weights (%s cache).\n"
        "TOK/S is predicted, in the middle of %lld tokens; an encoder's are those it reads.\n",
        r->kv == KV_Q8 ? "q8" : "f16", (long long)(r->ctx ? r->ctx : FIT_DEFAULT_CTX));
    if (r->all)
        puts("* marks the choice. docs/fit.md says how.");
    else
        printf(
            "FITS 'slow': below %g tokens a second. Every quantization: --all. The names to pull:\n"
            "--json. docs/fit.md says how all this is found.\n",
            r->speed);
}

static enum status print_tables(const struct fit_machine *m, const struct fit_request *r,
                                struct err *err)
{
    enum status s = OK;
    for (int i = 0; s == OK && i < m->n; i++) {
        print_device(&m->device[i], r);
        s = print_models(&m->device[i], r, err);
    }
    if (s == OK)
        print_notes(r);
    return s;
}

enum status cmd_fit(const struct options *o, struct err *err)
{
    struct fit_request r;
    struct fit_limits here = {0};
    struct fit_machine machine;
    struct buf json;
    enum status s = request_from(&r, o, err);
    if (s == OK && fit_needs_limits(&r))
        s = fit_measure(&here, o->threads > 0 ? (int)o->threads : 0, err);
    if (s == OK)
        s = fit_machine_of(&machine, &r, &here, err);
    if (s != OK || !o->json)
        return s == OK ? print_tables(&machine, &r, err) : s;
    buf_init(&json, OUTPUT_BYTES);
    s = fit_write_json(&json, &machine, &r, err);
    if (s == OK)
        print_line(&json);
    buf_release(&json);
    return s;
}
