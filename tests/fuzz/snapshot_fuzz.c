/* Snapshots of sequences and the files that keep them, from hostile bytes: what is taken is a
 * sequence that saves to the same bytes and can be continued; the rest is an error, and nothing is
 * held afterwards.
 *
 * The first byte says what the rest is: a snapshot; changes to a good one; a prefix store's file;
 * changes to a good one of these. Changes are the length to cut to (two bytes, 0: none), then an
 * offset (two bytes) and what is xored to the byte there, as often as there are bytes. */
#include "base/file.h"
#include "chat/prefix_disk.h"
#include "chat/prefix_store.h"
#include "engine/engine.h"
#include "scratch.h"
#include "store/store_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TOKENS = 70, CTX = 128 };

static struct engine *e;
static int64_t pages;         /* that are free */
static struct buf good, file; /* a snapshot, and a file with it */
static int32_t ids[TOKENS];
static char folder[160];

static void check(bool ok, const char *what)
{
    if (!ok)
        hearth_bug("%s", what);
}

static void setup(void)
{
    struct model *m;
    struct engine_options o = {.n_threads = 1, .n_ctx = CTX};
    struct prefix_file f = {0};
    struct err err;
    char path[256];
    int seq;
    if (model_open(&m, HEARTH_SOURCE_DIR "/tests/data/golden/gguf/llama32-bf16.gguf", NULL, &err) !=
            OK ||
        engine_new(&e, m, &o, &err) != OK)
        hearth_bug("%s", err.msg);
    for (int i = 0; i < TOKENS; i++)
        ids[i] = 3 + i;
    pages = engine_free_pages(e);
    buf_init(&good, 1 << 24);
    buf_init(&file, 1 << 24);
    snprintf(folder, sizeof folder, "%s/kv", scratch());
    if (mkdir(folder, 0700) != 0 || engine_seq_new(e, &seq, &err) != OK ||
        engine_prefill(e, seq, ids, TOKENS, NULL, NULL, &err) != OK ||
        engine_seq_save(e, seq, STR("me"), &good, &err) != OK ||
        prefix_disk_write(folder, STR("me"), ids, TOKENS, buf_str(&good), &f, &err) != OK)
        hearth_bug("%s", err.msg);
    engine_seq_free(e, seq);
    snprintf(path, sizeof path, "%s/%s.kv", folder, f.digest);
    if (file_read(path, &file, &err) != OK)
        hearth_bug("%s", err.msg);
    scratch_empty(folder);
}

static void check_snapshot(struct str bytes)
{
    struct err err = {0};
    struct buf again;
    struct step_row row = {.token = 5, .logits = true};
    int seq;
    int64_t need = engine_snapshot_pages(e, bytes);
    check(need >= 0 && need <= pages, "pages of a snapshot");
    enum status s = engine_seq_load(e, STR("me"), bytes, &seq, &err);
    if (s != OK) {
        check(s == EFORMAT && err.msg[0], "an error without words");
        check(engine_free_pages(e) == pages, "a refused snapshot keeps pages");
        return;
    }
    buf_init(&again, 1 << 24);
    check(engine_seq_save(e, seq, STR("me"), &again, &err) == OK, "cannot be saved");
    check(str_eq(buf_str(&again), bytes), "saved as other bytes");
    buf_release(&again);
    row.seq = seq;
    if (engine_seq_len(e, seq) < CTX)
        check(engine_step(e, &row, 1, &err) == OK, "cannot be continued");
    engine_seq_free(e, seq);
    check(engine_free_pages(e) == pages, "pages are lost");
}

/* The file has its digest as its name, as one that somebody put there would. */
static void check_file(struct str bytes)
{
    char digest[72], path[256];
    struct err err;
    struct prefix_store *ps;
    struct prefix_store_options o = {.folder = folder, .disk = 1 << 30};
    struct buf snapshot;
    if (digest_of(bytes.p, bytes.n, digest, &err) != OK)
        abort();
    snprintf(path, sizeof path, "%s/%s.kv", folder, digest + 7);
    scratch_write(path, bytes.p, bytes.n);
    check(prefix_store_new(&ps, &o, &err) == OK, "a folder cannot be opened");
    buf_init(&snapshot, 1 << 26);
    if (prefix_store_get(ps, STR("me"), ids, TOKENS, 0, &snapshot) > 0)
        check_snapshot(buf_str(&snapshot));
    buf_release(&snapshot);
    prefix_store_free(ps);
    unlink(path);
}

static void changed(const struct buf *from, const uint8_t *data, size_t n,
                    void (*fn)(struct str bytes))
{
    if (n < 2)
        return;
    size_t cut = (size_t)(data[0] | data[1] << 8), len = cut && cut < from->n ? cut : from->n;
    char *copy = malloc(len); /* an exact one, so that a sanitizer sees a read past the end */
    if (!copy)
        return;
    memcpy(copy, from->p, len);
    for (size_t i = 2; i + 3 <= n; i += 3) {
        size_t at = (size_t)(data[i] | data[i + 1] << 8);
        if (at < len)
            copy[at] = (char)(copy[at] ^ (char)data[i + 2]);
    }
    fn((struct str){copy, len});
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!e)
        setup();
    if (n == 0)
        return 0;
    struct str rest = {(const char *)data + 1, n - 1};
    switch (data[0] % 4) {
    case 0: check_snapshot(rest); break;
    case 1: changed(&good, data + 1, n - 1, check_snapshot); break;
    case 2: check_file(rest); break;
    default: changed(&file, data + 1, n - 1, check_file); break;
    }
    return 0;
}
