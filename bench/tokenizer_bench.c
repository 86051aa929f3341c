/* How fast a tokenizer loads and encodes: tokenizer_bench MODEL TEXTFILE [REPEATS]. MODEL is a GGUF
 * file or a tokenizer.json. Prints load time, and MB/s and tokens of the first (cold) and of the
 * best encoding of the whole text on one thread, in
 * processor time. */
#include "base/file.h"
#include "engine/vocab_gguf.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Processor time: the machine may be shared. */
static int64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static double cpu_since(int64_t start)
{
    return (double)(cpu_ns() - start) * 1e-9;
}

static int fail(const struct err *err)
{
    fprintf(stderr, "tokenizer_bench: %s\n", err->msg);
    return 1;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct arena arena;
    struct gguf *g = NULL;
    struct tokenizer *t = NULL;
    struct buf text, json;
    buf_init(&text, 1 << 30);
    buf_init(&json, 1 << 30);
    arena_init(&arena, (size_t)1 << 30);
    if (argc < 3) {
        fprintf(stderr, "usage: tokenizer_bench MODEL TEXTFILE [REPEATS]\n");
        return 2;
    }
    int64_t start = cpu_ns();
    enum status s;
    double mapped = 0;
    if (str_ends(str_from(argv[1]), STR(".json"))) {
        s = file_read(argv[1], &json, &err);
        s = s == OK ? tokenizer_from_json(&t, buf_str(&json), STR(""), &err) : s;
    } else {
        s = gguf_open(&g, argv[1], &err);
        mapped = cpu_since(start);
        s = s == OK ? tokenizer_from_gguf(&t, g, &arena, &err) : s;
    }
    double load = cpu_since(start);
    if (s != OK || file_read(argv[2], &text, &err) != OK)
        return fail(&err);
    int repeats = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 5;
    double cold = 0, best = 1e9;
    struct tokens ids = {0};
    for (int i = 0; i < repeats; i++) {
        ids.n = 0;
        start = cpu_ns();
        if (tokenizer_encode(t, buf_str(&text), 0, &ids, &err) != OK)
            return fail(&err);
        double took = cpu_since(start);
        cold = i ? cold : took;
        best = took < best ? took : best;
    }
    printf(
        "load %.1f ms (of it open %.1f), %zu bytes, %zu tokens, cold %.1f MB/s, best %.1f MB/s\n",
        load * 1e3, mapped * 1e3, text.n, ids.n, (double)text.n / cold * 1e-6,
        (double)text.n / best * 1e-6);
    tokens_free(&ids);
    tokenizer_free(t);
    gguf_close(g);
    arena_release(&arena);
    buf_release(&text);
    buf_release(&json);
    return 0;
}
