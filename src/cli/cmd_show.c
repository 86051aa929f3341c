/* hearth show: what a model of the store, or a GGUF file, is. */
#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/table.h"
#include "base/mem.h"
#include "base/show.h"
#include "format/gguf.h"
#include "store/info.h"
#include "store/params.h"
#include <stdio.h>
#include <stdlib.h>

enum { OUTPUT_BYTES = 256 << 20, LICENSE_LINES = 2 };

/* ---- one part ---- */

static void print_text(struct str text)
{
    fwrite(text.p, 1, text.n, stdout);
    if (text.n == 0 || text.p[text.n - 1] != '\n')
        putchar('\n');
}

static enum status print_modelfile(const struct info *i, struct err *err)
{
    struct buf out;
    buf_init(&out, OUTPUT_BYTES);
    enum status s = info_modelfile(i, &out, err);
    if (s == OK)
        print_text(buf_str(&out));
    buf_release(&out);
    return s;
}

static enum status print_parameters(const struct store_model *m, struct err *err)
{
    struct buf out;
    buf_init(&out, OUTPUT_BYTES);
    enum status s = params_text(m->params_json, &out, err);
    if (s == OK && out.n)
        print_text(buf_str(&out));
    buf_release(&out);
    return s;
}

static enum status print_part(const struct options *o, const struct info *i, struct err *err)
{
    const struct store_model *m = i->model;
    if (o->show_modelfile)
        return print_modelfile(i, err);
    if (o->show_parameters)
        return print_parameters(m, err);
    if (o->show_template && i->template_text.p)
        print_text(i->template_text);
    else if (o->show_system && m->system.p)
        print_text(m->system);
    else if (o->show_license)
        for (size_t k = 0; k < m->n_licenses; k++)
            print_text(m->licenses[k]);
    return OK;
}

/* ---- everything ---- */

static void row(struct table *t, const char *name, const char *value)
{
    if (*value) {
        table_cell(t, name);
        table_cell(t, value);
    }
}

static void row_int(struct table *t, const char *name, int64_t value)
{
    char text[32] = "";
    if (value > 0)
        snprintf(text, sizeof text, "%lld", (long long)value);
    row(t, name, text);
}

static enum status end_table(struct table *t, struct err *err)
{
    enum status s = table_print(t, 4, err);
    putchar('\n');
    table_release(t);
    return s;
}

static enum status print_model(const struct info *i, struct err *err)
{
    struct table t;
    table_init(&t, 2);
    puts("  Model");
    row(&t, "architecture", i->details.family);
    row(&t, "parameters", i->details.parameter_size);
    row_int(&t, "context length", i->context_length);
    row_int(&t, "embedding length", i->embedding_length);
    row(&t, "quantization", i->details.quantization);
    return end_table(&t, err);
}

static enum status print_capabilities(const struct info *i, struct err *err)
{
    struct table t;
    const char *name;
    table_init(&t, 1);
    puts("  Capabilities");
    for (size_t k = 0; (name = capability_name(i->capabilities, k)); k++)
        table_cell(&t, name);
    return end_table(&t, err);
}

static enum status list_parameters(const struct store_model *m, struct err *err)
{
    struct table t;
    struct buf text;
    buf_init(&text, OUTPUT_BYTES);
    enum status s = params_text(m->params_json, &text, err);
    table_init(&t, 2);
    for (char *line = text.p, *next; s == OK && line && *line; line = next) {
        size_t n = strcspn(line, "\n");
        next = line[n] ? line + n + 1 : line + n;
        line[n] = 0;
        size_t name = strcspn(line, " "), value = name + strspn(line + name, " ");
        line[name] = 0;
        row(&t, line, line + value);
    }
    buf_release(&text);
    if (s != OK) {
        table_release(&t);
        return s;
    }
    puts("  Parameters");
    return end_table(&t, err);
}

/* The first lines of a text, for an overview. */
static void head(const char *title, struct str text)
{
    printf("  %s\n", title);
    for (int lines = 0; lines < LICENSE_LINES && text.n;) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        struct shown line = show(str_slice(text, 0, n));
        if (line.s[strspn(line.s, " ")]) {
            printf("    %s\n", line.s + strspn(line.s, " "));
            lines++;
        }
        text = str_slice(text, end ? n + 1 : n, text.n);
    }
    putchar('\n');
}

static enum status print_metadata(const struct info *i, struct err *err)
{
    struct buf json;
    struct jsonw w;
    buf_init(&json, OUTPUT_BYTES);
    jsonw_init(&w, &json, 2);
    jsonw_obj(&w);
    jsonw_key(&w, "metadata");
    info_write_model_info(&w, i, false);
    jsonw_key(&w, "tensors");
    info_write_tensors(&w, i);
    jsonw_end(&w);
    enum status s = buf_check(&json, "metadata", err);
    if (s == OK)
        print_text(buf_str(&json));
    buf_release(&json);
    return s;
}

static enum status print_all(const struct options *o, const struct info *i, struct err *err)
{
    const struct store_model *m = i->model;
    enum status s = print_model(i, err);
    if (s == OK)
        s = print_capabilities(i, err);
    if (s == OK && m->params_json.p)
        s = list_parameters(m, err);
    if (s == OK && m->system.n)
        head("System", m->system);
    for (size_t k = 0; s == OK && k < m->n_licenses; k++)
        head("License", m->licenses[k]);
    return s == OK && o->verbose ? print_metadata(i, err) : s;
}

enum status cmd_show(const struct options *o, struct err *err)
{
    struct store_model *entry, file = {0};
    struct info *i = NULL;
    char *path;
    int parts = o->show_modelfile + o->show_license + o->show_parameters + o->show_template +
                o->show_system;
    if (parts > 1)
        return err_set(err, EUSAGE,
                       "show: %d parts asked for, expected one of --license, --modelfile, "
                       "--parameters, --template and --system",
                       parts);
    enum status s = model_find(o->args[0], &path, &entry, err);
    if (s != OK)
        return s;
    struct store_layer layer = {.kind = LAYER_MODEL, .path = path};
    file.layers = &layer;
    file.n_layers = 1;
    file.model_path = path;
    s = info_open(&i, entry ? entry : &file, err);
    if (s == OK)
        s = parts ? print_part(o, i, err) : print_all(o, i, err);
    info_close(i);
    store_model_free(entry);
    free(path);
    return s;
}
