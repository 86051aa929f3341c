/* What registries and Hugging Face answer a pull: challenges, tokens, Content-Range, lists of
 * files, and which of these a tag means. The first byte says which parser reads the rest; of a list
 * the first line is the header Link, the second the tag. */
#include "store/fetch.h"
#include "store/hf.h"
#include "store/registry.h"
#include "store/store_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok, const char *what)
{
    if (!ok)
        hearth_bug("%s", what);
}

static struct str line(struct str *rest)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    size_t n = end ? (size_t)(end - rest->p) : rest->n;
    struct str out = str_slice(*rest, 0, n);
    *rest = str_slice(*rest, end ? n + 1 : n, rest->n);
    return out;
}

static void check_challenge(struct str text)
{
    struct buf url;
    struct err err = {0};
    buf_init(&url, 16 << 10);
    if (registry_token_url(text, &url, &err) == OK)
        check(url.n && memmem(text.p, text.n, url.p, 1), "a token from nowhere");
    else
        check(err.msg[0] != 0, "an error without words");
    buf_release(&url);
}

/* What goes into a header must not end it. */
static void check_token(struct str text)
{
    struct buf authorization;
    struct err err = {0};
    buf_init(&authorization, 1 << 20);
    buf_adds(&authorization, "before");
    if (registry_read_token(text, &authorization, &err) == OK) {
        check(authorization.n > 7 && strlen(authorization.p) == authorization.n, "an empty token");
        for (size_t i = 7; i < authorization.n; i++)
            check(authorization.p[i] > ' ' && authorization.p[i] <= '~', "a token's characters");
    } else {
        check(err.msg[0] != 0, "an error without words");
    }
    buf_release(&authorization);
}

static void check_range(struct str text)
{
    uint64_t from, to, total;
    if (!fetch_content_range(text, &from, &to, &total))
        return;
    check(from <= to && str_starts(text, STR("bytes ")), "a range that ends before it begins");
    check((total == UINT64_MAX) || text.p[text.n - 1] != '*', "a size out of nothing");
}

static bool is_one_of(const struct hf_files *all, const struct hf_file *f)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->f[i].path.p == f->path.p && all->f[i].size == f->size)
            return true;
    return false;
}

static void check_choice(const struct hf_files *all, struct str tag)
{
    struct hf_choice c;
    struct err err = {0};
    if (hf_choose(&c, all, tag, &err) != OK) {
        check(err.msg[0] != 0 && c.files.n == 0, "nothing was chosen, without words");
        return;
    }
    check(c.files.n > 0, "a choice of no file");
    for (size_t i = 0; i < c.files.n; i++)
        check(is_one_of(all, &c.files.f[i]), "a file that is not in the list");
    hf_files_release(&c.files);
}

static void check_list(struct str text)
{
    struct web_call call = {0};
    struct hf_files all = {0};
    struct arena arena;
    struct buf url;
    struct err err = {0};
    struct str link = line(&text), tag = line(&text);
    arena_init(&arena, 64 << 20);
    buf_init(&call.head, 1 << 20);
    buf_init(&url, 1 << 20);
    buf_printf(&call.head, "HTTP/1.1 200 OK\r\nLink: %.*s\r\n\r\n", STR_ARG(link));
    struct str next = hf_next_page(&call);
    check(!next.n || memmem(call.head.p, call.head.n, next.p, next.n), "a page from nowhere");
    if (next.n && web_resolve("https://huggingface.co/api/models/a/b", next, &url, &err) == OK)
        check(url.n > 0, "an empty address");
    if (hf_read_page(&all, text, &arena, &err) == OK) {
        for (size_t i = 0; i < all.n; i++) {
            const struct hf_file *f = &all.f[i];
            check(f->path.n && f->size <= INT64_MAX, "a file without a path or size");
            check(!f->digest.p || digest_valid(f->digest), "a digest that is none");
            check(!f->oid.p || f->oid.n == 40, "git's digest that is none");
        }
        check_choice(&all, tag);
        check_choice(&all, STR("latest"));
        check_choice(&all, STR("Q4_K_M"));
    }
    hf_files_release(&all);
    buf_release(&call.head);
    buf_release(&url);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const parsers[])(struct str text) = {check_challenge, check_token, check_range,
                                                       check_list};
    if (n)
        parsers[data[0] % 4]((struct str){(const char *)data + 1, n - 1});
    return 0;
}
