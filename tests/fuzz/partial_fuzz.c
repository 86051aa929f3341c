/* The notes of a half-finished download from hostile bytes: what is taken up never lies outside the
 * blob, and what does not fit begins from nothing. The first four bytes are the blob's size, the
 * fifth which size the file of its bytes has; the rest are the notes. */
#include "scratch.h"
#include "store/partial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check(bool ok, const char *what)
{
    if (!ok)
        hearth_bug("%s", what);
}

static void check_parts(const struct partial *p)
{
    uint64_t at = 0;
    check(p->n > 0 && p->part_size > 0, "no parts");
    for (size_t i = 0; i < p->n; i++) {
        check(partial_at(p, i) == at && partial_len(p, i) > 0, "parts that do not join");
        check(p->done[i] <= partial_len(p, i), "more than a part is there");
        at += partial_len(p, i);
    }
    check(at == p->size, "parts that are not the whole");
    check(p->resumed == (partial_total(p) > 0), "resumed");
}

static size_t incomplete(const struct partial *p)
{
    size_t i = 0;
    while (i < p->n && p->done[i] == partial_len(p, i))
        i++;
    return i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct str digest = {"sha256:" HEX, 71};
    struct store s = {.root = (char *)(uintptr_t)scratch()};
    char folder[160], path[256], notes[256];
    uint32_t size;
    bool busy;
    struct partial p;
    struct err err;
    if (n < 5)
        return 0;
    memcpy(&size, data, sizeof size);
    size = 1 + size % (256u << 20);
    snprintf(folder, sizeof folder, "%s/blobs", s.root);
    snprintf(path, sizeof path, "%s/pull-" HEX, folder);
    snprintf(notes, sizeof notes, "%s/pull-" HEX ".parts", folder);
    mkdir(folder, 0700);
    scratch_write(path, "", 0);
    scratch_write(notes, data + 5, n - 5);
    if (truncate(path, data[4] == 1 ? (off_t)size : data[4] * 1000) != 0)
        abort();
    (void)partial_peek(&s, digest);
    (void)partial_disk(&s, digest);
    check(partial_open(&p, &s, digest, size, &busy, &err) == OK && !busy, "cannot be opened");
    check_parts(&p);
    uint64_t total = partial_total(&p);
    size_t i = incomplete(&p);
    if (i < p.n) {
        check(partial_write(&p, i, "x", 1, &err) == OK, "cannot be written");
        total++;
    }
    partial_close(&p);
    check(partial_peek(&s, digest) == total, "another total for others");
    check(partial_open(&p, &s, digest, size, &busy, &err) == OK && !busy, "not opened again");
    check_parts(&p);
    check(partial_total(&p) == total, "another total than before");
    partial_discard(&p);
    partial_close(&p);
    return 0;
}
