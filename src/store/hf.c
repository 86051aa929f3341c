#include "store/hf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/show.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { URL_BYTES = 16 << 10, LIST_BYTES = 64 << 20, PAGES = 100, FILES_MAX = 100000 };

bool hf_is(const struct model_name *name)
{
    return strcasecmp(name->host, "hf.co") == 0 || strcasecmp(name->host, "huggingface.co") == 0;
}

struct str hf_endpoint(void)
{
    const char *env = getenv("HF_ENDPOINT");
    struct str e = env && *env ? str_from(env) : STR("https://huggingface.co");
    while (e.n && e.p[e.n - 1] == '/')
        e.n--;
    return e;
}

const char *hf_authorization(struct buf *out)
{
    const char *token = getenv("HF_TOKEN");
    if (!token || !*token)
        return NULL;
    buf_printf(out, "Bearer %s", token);
    return out->failed ? NULL : out->p;
}

void hf_files_release(struct hf_files *l)
{
    free(l->f);
    *l = (struct hf_files){0};
}

static enum status add_file(struct hf_files *l, struct hf_file f, struct err *err)
{
    if (l->n == FILES_MAX)
        return err_set(err, ELIMIT, "the repository has more than %d files", FILES_MAX);
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct hf_file *more = mem_resize(l->f, cap, sizeof *more);
        if (!more)
            return err_set(err, ENOMEMORY, "no memory for a list of files");
        l->f = more;
        l->cap = cap;
    }
    l->f[l->n++] = f;
    return OK;
}

/* ---- the list ---- */

static bool is_hex(struct str s, size_t n)
{
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

/* {"type": "file", "path", "size", "oid", "lfs": {"oid", "size"}} */
static enum status take_entry(struct hf_files *l, const json_t *e, struct arena *arena,
                              struct err *err)
{
    struct str type, path, oid;
    struct hf_file f = {0};
    char digest[72];
    int64_t size;
    enum status s = json_get_str(e, "type", &type, err);
    if (s == OK)
        s = json_get_str(e, "path", &path, err);
    if (s != OK || !type.p || !str_is(type, "file"))
        return s;
    if (!path.n)
        return err_set(err, EFORMAT, "a file without a path");
    const json_t *lfs = json_object_get(e, "lfs");
    s = json_get_int(json_is_object(lfs) ? lfs : e, "size", &size, -1, err);
    if (s == OK && size < 0)
        s = err_set(err, EFORMAT, "'%s': no size", show(path).s);
    if (s == OK)
        s = json_get_str(json_is_object(lfs) ? lfs : e, "oid", &oid, err);
    if (s != OK)
        return s;
    f.path = arena_str(arena, path);
    f.size = (uint64_t)size;
    if (json_is_object(lfs)) {
        if (str_starts(oid, STR("sha256:")))
            oid = str_slice(oid, 7, oid.n);
        if (!is_hex(oid, 64))
            return err_set(err, EFORMAT, "'%s': its digest is '%s', expected 64 digits",
                           show(path).s, show(oid).s);
        snprintf(digest, sizeof digest, "sha256:%.*s", STR_ARG(oid));
        f.digest = arena_str(arena, str_from(digest));
    } else if (is_hex(oid, 40)) {
        f.oid = arena_str(arena, oid);
    }
    if (!f.path.p || (json_is_object(lfs) && !f.digest.p))
        return err_set(err, ENOMEMORY, "no memory for a list of files");
    return add_file(l, f, err);
}

struct str hf_next_page(const struct web_call *c)
{
    struct str v = web_header(c, "Link");
    const char *rel = v.n ? memmem(v.p, v.n, "rel=\"next\"", 10) : NULL;
    const char *end = rel ? memrchr(v.p, '>', (size_t)(rel - v.p)) : NULL;
    const char *begin = end ? memrchr(v.p, '<', (size_t)(end - v.p)) : NULL;
    return begin ? (struct str){begin + 1, (size_t)(end - begin - 1)} : (struct str){NULL, 0};
}

enum status hf_read_page(struct hf_files *l, struct str answer, struct arena *arena,
                         struct err *err)
{
    json_t *list;
    enum status s = json_parse(&list, answer, "list of files", err);
    if (s == OK && !json_is_array(list))
        s = err_set(err, EFORMAT, "list of files: expected an array");
    for (size_t i = 0; s == OK && i < json_array_size(list); i++)
        s = take_entry(l, json_array_get(list, i), arena, err);
    json_decref(list);
    return s;
}

static enum status refused(const struct web_call *c, const struct model_name *name,
                           const char *authorization, struct err *err)
{
    char what[256];
    snprintf(what, sizeof what, "repository '%s/%s'", name->ns, name->model);
    enum status s = web_status_error(c, what, err);
    if ((c->status == 401 || c->status == 403) && !authorization)
        s = err_set(err, s, "%s: not there, or only for those with a token (HF_TOKEN): HTTP %ld",
                    what, c->status);
    return s;
}

enum status hf_list(struct hf_files *out, struct web *web, const struct model_name *name,
                    const char *authorization, struct arena *arena, struct err *err)
{
    struct buf url, next;
    struct web_call c = {.method = "GET", .answer_max = LIST_BYTES};
    *out = (struct hf_files){0};
    buf_init(&url, URL_BYTES);
    buf_init(&next, URL_BYTES);
    buf_printf(&url, "%.*s/api/models/%s/%s/tree/main?recursive=1", STR_ARG(hf_endpoint()),
               name->ns, name->model);
    enum status s = buf_check(&url, "URL", err);
    for (int page = 0; s == OK && url.n; page++) {
        if (page == PAGES)
            s = err_set(err, ELIMIT, "the list of files has more than %d pages", PAGES);
        c.url = url.p;
        c.authorization = authorization;
        if (s == OK)
            s = web_ask(web, &c, err);
        if (s == OK && c.status != 200)
            s = refused(&c, name, authorization, err);
        if (s == OK)
            s = hf_read_page(out, buf_str(&c.answer), arena, err);
        struct str more = s == OK ? hf_next_page(&c) : (struct str){NULL, 0};
        if (more.n)
            s = web_resolve(url.p, more, &next, err);
        buf_clear(&url);
        /* the token goes to the same place only */
        if (s == OK && more.n && !str_starts(buf_str(&next), hf_endpoint()))
            s = err_set(err, EFORMAT, "list of files: goes on at '%s', elsewhere",
                        show(buf_str(&next)).s);
        if (s == OK && more.n)
            buf_addstr(&url, buf_str(&next));
    }
    web_call_release(&c);
    buf_release(&url);
    buf_release(&next);
    if (s != OK)
        hf_files_release(out);
    return s;
}

enum status hf_file_url(struct buf *out, const struct model_name *name, struct str path,
                        struct err *err)
{
    buf_clear(out);
    buf_printf(out, "%.*s/%s/%s/resolve/main/", STR_ARG(hf_endpoint()), name->ns, name->model);
    web_escape(out, path, true);
    return buf_check(out, "URL", err);
}

/* ---- choosing ---- */

struct str hf_base_name(struct str path)
{
    const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;
    return slash ? str_slice(path, (size_t)(slash - path.p) + 1, path.n) : path;
}

static bool same_text(struct str a, struct str b)
{
    return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

static bool contains(struct str text, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= text.n; i++)
        if (strncasecmp(text.p + i, word, n) == 0)
            return true;
    return false;
}

static bool ends_with(struct str text, const char *tail)
{
    size_t n = strlen(tail);
    return text.n >= n && strncasecmp(text.p + text.n - n, tail, n) == 0;
}

/* "-00002-of-00003.gguf": the number and count; what stands before in *stem. */
static bool split_of(struct str path, int *k, int *count, struct str *stem)
{
    char tail[24] = "";
    int used = 0;
    if (path.n < 20)
        return false;
    memcpy(tail, path.p + path.n - 20, 20);
    *stem = str_slice(path, 0, path.n - 20);
    return sscanf(tail, "-%5d-of-%5d.gguf%n", k, count, &used) == 2 && used == 20 && *k > 0 &&
           *count > 0;
}

/* A GGUF file that a model could be: no projector, no importance matrix, of split ones the first.
 */
static bool is_candidate(struct str path)
{
    int k, count;
    struct str stem, base = hf_base_name(path);
    if (!ends_with(path, ".gguf") || contains(base, "mmproj") || contains(base, "imatrix"))
        return false;
    return !split_of(path, &k, &count, &stem) || k == 1;
}

/* Whether a quantization's name stands in a path as a word: Q4_K is none in "x-Q4_K_M.gguf".
 * underscores: one before it may part it, too ("x_q4_k_m.gguf"). */
static bool has_word(struct str path, struct str word, bool underscores)
{
    for (size_t i = 0; i + word.n <= path.n; i++) {
        char before = i ? path.p[i - 1] : '-';
        char after = i + word.n < path.n ? path.p[i + word.n] : '-';
        if (strncasecmp(path.p + i, word.p, word.n) == 0 &&
            (strchr("-./ ", before) || (underscores && before == '_')) && strchr("-./ ", after))
            return true;
    }
    return false;
}

static bool is_named(struct str path, struct str tag)
{
    struct str base = hf_base_name(path);
    if (same_text(base, tag))
        return true;
    return ends_with(base, ".gguf") && same_text(str_slice(base, 0, base.n - 5), tag);
}

/* The shortest path that fits, and of these the first: "x-Q4_K_M" before "x-UD-Q4_K_M". */
static const struct hf_file *find(const struct hf_files *all, struct str tag)
{
    const struct hf_file *best = NULL;
    for (int way = 0; way < 3 && !best; way++)
        for (size_t i = 0; i < all->n; i++) {
            struct str path = all->f[i].path;
            if (!is_candidate(path) ||
                !(way == 0 ? is_named(path, tag) : has_word(path, tag, way == 2)))
                continue;
            if (!best || path.n < best->path.n ||
                (path.n == best->path.n && memcmp(path.p, best->path.p, path.n) < 0))
                best = &all->f[i];
        }
    return best;
}

static const struct hf_file *find_default(const struct hf_files *all)
{
    static const char *const order[] = {"Q4_K_M", "Q4_K_S", "Q4_0",   "IQ4_NL", "IQ4_XS",
                                        "Q4_1",   "Q5_K_M", "Q5_K_S", "Q5_0",   "Q6_K",
                                        "Q8_0",   "Q3_K_M", "Q3_K_L", "Q3_K_S", "Q2_K",
                                        "F16",    "FP16",   "BF16",   "F32"};
    const struct hf_file *f = NULL;
    for (size_t i = 0; !f && i < sizeof order / sizeof *order; i++)
        f = find(all, str_from(order[i]));
    for (size_t i = 0; !f && i < all->n; i++)
        if (is_candidate(all->f[i].path))
            f = &all->f[i];
    return f;
}

/* The file, or all parts of it, in order. */
static enum status take_gguf(struct hf_files *out, const struct hf_files *all,
                             const struct hf_file *first, struct err *err)
{
    int k, count, k2, count2;
    struct str stem, stem2;
    if (!split_of(first->path, &k, &count, &stem))
        return add_file(out, *first, err);
    const struct hf_file **parts = mem_array((size_t)count, sizeof *parts);
    if (!parts)
        return err_set(err, ENOMEMORY, "no memory for %d parts of a file", count);
    for (size_t i = 0; i < all->n; i++)
        if (split_of(all->f[i].path, &k2, &count2, &stem2) && count2 == count && k2 <= count &&
            str_eq(stem, stem2) && !parts[k2 - 1])
            parts[k2 - 1] = &all->f[i];
    enum status s = OK;
    for (int i = 0; i < count && s == OK; i++)
        s = parts[i] ? add_file(out, *parts[i], err)
                     : err_set(err, ENOTFOUND, "'%s': part %d of %d is not in the repository",
                               show(first->path).s, i + 1, count);
    free(parts);
    return s;
}

static enum status nothing_fits(const struct hf_files *all, struct str tag, struct err *err)
{
    char list[320] = "";
    size_t n = 0;
    for (size_t i = 0; i < all->n && n < sizeof list; i++)
        if (is_candidate(all->f[i].path))
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "",
                                  show(hf_base_name(all->f[i].path)).s);
    return err_set(err, ENOTFOUND, "no GGUF file for '%s' in the repository, there are: %s%s",
                   show(tag).s, list, n >= sizeof list ? "..." : "");
}

/* Of a model as safetensors: what its readers read. Files in folders are other things. */
static bool belongs(struct str path)
{
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "vocab.txt",
                                        "merges.txt",
                                        "tokenizer.model",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "model.safetensors.index.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_is(path, names[i]))
            return true;
    return false;
}

static enum status take_safetensors(struct hf_files *out, const struct hf_files *all,
                                    struct err *err)
{
    bool named_model = false, config = false;
    size_t weights = 0;
    enum status s = OK;
    for (size_t i = 0; i < all->n; i++) {
        struct str p = all->f[i].path;
        named_model |= str_starts(p, STR("model")) && ends_with(p, ".safetensors");
        config |= str_is(p, "config.json");
    }
    for (size_t i = 0; s == OK && i < all->n; i++) {
        struct str p = all->f[i].path;
        /* beside model*.safetensors others say the same again (consolidated.safetensors) */
        bool w = ends_with(p, ".safetensors") && !memchr(p.p, '/', p.n) &&
                 (!named_model || str_starts(p, STR("model")));
        weights += w;
        if (w || belongs(p))
            s = add_file(out, all->f[i], err);
    }
    if (s == OK && (!config || weights == 0))
        s = err_set(err, ENOTFOUND,
                    "the repository has no GGUF file, and no config.json with safetensors");
    return s;
}

enum status hf_choose(struct hf_choice *out, const struct hf_files *all, struct str tag,
                      struct err *err)
{
    bool unsaid = same_text(tag, STR("latest"));
    *out = (struct hf_choice){0};
    for (size_t i = 0; i < all->n; i++)
        out->gguf |= is_candidate(all->f[i].path);
    enum status s;
    if (out->gguf) {
        const struct hf_file *f = find(all, tag);
        if (!f && unsaid)
            f = find_default(all);
        s = f ? take_gguf(&out->files, all, f, err) : nothing_fits(all, tag, err);
    } else {
        s = take_safetensors(&out->files, all, err);
        out->quantize = unsaid ? (struct str){NULL, 0} : tag;
    }
    if (s != OK)
        hf_files_release(&out->files);
    return s;
}
