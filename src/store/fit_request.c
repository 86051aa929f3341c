/* What a caller of fit can say, the same words on the command line and in a query. */
#include "store/fit.h"
#include "base/machine.h"
#include "base/show.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { VALUE_MAX = 64 };
#define MAX_RAM   ((uint64_t)1 << 50)
#define MAX_GB_S  1e6
#define MAX_CTX   1000000000
#define MAX_SPEED 1e6

void fit_request_init(struct fit_request *r)
{
    *r = (struct fit_request){.kv = KV_F16, .speed = FIT_DEFAULT_SPEED};
}

/* One option's value: text without NULs, shorter than VALUE_MAX. */
typedef enum status set_fn(struct fit_request *r, const char *label, const char *v,
                           struct err *err);

static enum status set_tier(struct fit_request *r, const char *label, const char *v,
                            struct err *err)
{
    struct buf names;
    for (const struct fit_tier *t = fit_tiers; t->name; t++)
        if (strcasecmp(t->name, v) == 0) {
            r->tier = t;
            return OK;
        }
    buf_init(&names, 1024);
    for (const struct fit_tier *t = fit_tiers; t->name; t++)
        buf_printf(&names, " %s", t->name);
    err_set(err, EUSAGE, "%s: '%s', expected one of%s", label, show(str_from(v)).s,
            names.p ? names.p : "");
    buf_release(&names);
    return EUSAGE;
}

static enum status size_of(const char *label, const char *v, uint64_t *out, struct err *err)
{
    uint64_t n;
    if (!machine_size_from(v, &n) || n == 0 || n > MAX_RAM)
        return err_set(err, EUSAGE, "%s: '%s', expected a size such as 16G", label,
                       show(str_from(v)).s);
    *out = n;
    return OK;
}

static enum status set_ram(struct fit_request *r, const char *label, const char *v, struct err *err)
{
    return size_of(label, v, &r->ram, err);
}

static enum status set_gpu(struct fit_request *r, const char *label, const char *v, struct err *err)
{
    return size_of(label, v, &r->gpu, err);
}

/* A number from low to high; low itself only when `from` says so. */
static enum status number_of(const char *label, const char *v, const char *what, double high,
                             bool zero, double *out, struct err *err)
{
    char *end;
    double n = strtod(v, &end);
    if (end == v || *end || !(n >= 0 && n <= high) || (n == 0 && !zero))
        return err_set(err, EUSAGE, "%s: '%s', expected %s, at most %.0f", label,
                       show(str_from(v)).s, what, high);
    *out = n;
    return OK;
}

static enum status set_bandwidth(struct fit_request *r, const char *label, const char *v,
                                 struct err *err)
{
    return number_of(label, v, "GB/s above 0", MAX_GB_S, false, &r->bandwidth, err);
}

static enum status set_gpu_bandwidth(struct fit_request *r, const char *label, const char *v,
                                     struct err *err)
{
    return number_of(label, v, "GB/s above 0", MAX_GB_S, false, &r->gpu_bandwidth, err);
}

static enum status set_speed(struct fit_request *r, const char *label, const char *v,
                             struct err *err)
{
    return number_of(label, v, "tokens a second", MAX_SPEED, true, &r->speed, err);
}

static enum status set_ctx(struct fit_request *r, const char *label, const char *v, struct err *err)
{
    double n;
    enum status s = number_of(label, v, "a number of tokens above 0", MAX_CTX, false, &n, err);
    if (s == OK && n != floor(n))
        s = err_set(err, EUSAGE, "%s: '%s', expected a whole number", label, show(str_from(v)).s);
    if (s == OK)
        r->ctx = (int64_t)n;
    return s;
}

static enum status set_kv(struct fit_request *r, const char *label, const char *v, struct err *err)
{
    if (strcasecmp(v, "f16") != 0 && strcasecmp(v, "q8") != 0)
        return err_set(err, EUSAGE, "%s: '%s', expected f16 or q8", label, show(str_from(v)).s);
    r->kv = strcasecmp(v, "q8") == 0 ? KV_Q8 : KV_F16;
    return OK;
}

static enum status set_all(struct fit_request *r, const char *label, const char *v, struct err *err)
{
    bool no = strcasecmp(v, "false") == 0 || strcmp(v, "0") == 0;
    if (!no && *v && strcasecmp(v, "true") != 0 && strcmp(v, "1") != 0)
        return err_set(err, EUSAGE, "%s: '%s', expected true or false", label, show(str_from(v)).s);
    r->all = !no;
    return OK;
}

static enum status set_model(struct fit_request *r, const char *label, const char *v,
                             struct err *err)
{
    (void)label;
    (void)err;
    snprintf(r->model, sizeof r->model, "%s", v);
    return OK;
}

static const struct {
    const char *name;
    set_fn *set;
} rows[] = {{"tier", set_tier},
            {"ram", set_ram},
            {"bandwidth", set_bandwidth},
            {"gpu", set_gpu},
            {"gpu-bandwidth", set_gpu_bandwidth},
            {"ctx", set_ctx},
            {"kv", set_kv},
            {"speed", set_speed},
            {"all", set_all},
            {"model", set_model}};
enum { N_ROWS = sizeof rows / sizeof *rows };

const char *fit_option_name(size_t i)
{
    return i < N_ROWS ? rows[i].name : NULL;
}

enum status fit_request_set(struct fit_request *r, const char *name, const char *label,
                            struct str value, struct err *err)
{
    char v[VALUE_MAX];
    if (value.n >= sizeof v || memchr(value.p ? value.p : "", 0, value.n))
        return err_set(err, EUSAGE, "%s: '%s', expected fewer than %d characters", label,
                       show(value).s, VALUE_MAX);
    snprintf(v, sizeof v, "%.*s", STR_ARG(value));
    for (size_t i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].set(r, label, v, err);
    return err_set(err, EUSAGE, "%s: not an option of fit", label);
}
