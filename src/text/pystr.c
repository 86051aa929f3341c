/* Python's view of characters, from generated tables: sorted ranges per class and runs of case
 * mappings, both found by binary search; ASCII is answered without them. */
#include "text/pystr.h"
#include "base/utf8.h"
#include "text/gen_pystr.h"

bool pychar_is(uint32_t cp, enum pychar_class class)
{
    const struct pystr_range *v = pystr_classes[class].v;
    size_t lo = 0, hi = pystr_classes[class].n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > v[mid].last)
            lo = mid + 1;
        else if (cp < v[mid].first)
            hi = mid;
        else
            return true;
    }
    return false;
}

int pychar_map(uint32_t cp, enum pychar_map map, uint32_t out[3])
{
    out[0] = cp;
    if (cp < 0x80) {
        if (map == PY_TO_LOWER ? cp - 'A' < 26 : cp - 'a' < 26)
            out[0] = cp ^ 32;
        return 1;
    }
    const struct pystr_special *s = pystr_specials[map].v;
    for (size_t i = 0; i < pystr_specials[map].n; i++)
        if (s[i].from == cp) {
            int n = 0;
            for (; n < 3 && s[i].to[n]; n++)
                out[n] = s[i].to[n];
            return n;
        }
    const struct pystr_run *v = pystr_runs[map].v;
    size_t lo = 0, hi = pystr_runs[map].n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > v[mid].last)
            lo = mid + 1;
        else if (cp < v[mid].first)
            hi = mid;
        else {
            if ((cp - v[mid].first) % v[mid].step == 0)
                out[0] = cp + (uint32_t)v[mid].delta;
            break;
        }
    }
    return 1;
}

static void add_mapped(struct buf *out, uint32_t cp, enum pychar_map map)
{
    uint32_t to[3];
    char bytes[12];
    int n = pychar_map(cp, map, to), len = 0;
    for (int i = 0; i < n; i++)
        len += utf8_encode(to[i], bytes + len);
    buf_add(out, bytes, (size_t)len);
}

static bool is_cased(uint32_t cp)
{
    return pychar_is(cp, PY_LOWER) || pychar_is(cp, PY_UPPER) || pychar_is(cp, PY_TITLE);
}

/* Is there a cased character behind `at` with only case-ignorable ones between? */
static bool cased_follows(struct str s, size_t at)
{
    while (at < s.n) {
        uint32_t cp;
        at += (size_t)utf8_decode(s.p + at, s.n - at, &cp);
        if (!pychar_is(cp, PY_CASE_IGNORABLE))
            return cp != UTF8_BAD && is_cased(cp);
    }
    return false;
}

/* The final form of sigma: behind a cased character and not before one (Unicode 3.13). */
enum { CAPITAL_SIGMA = 0x3a3, FINAL_SIGMA = 0x3c2 };

static void map_from(struct buf *out, struct str s, size_t at, enum pychar_map map, bool title)
{
    bool cased = at > 0, in_word = false; /* cased: the last character that is not ignorable is */
    while (at < s.n) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s.p + at, s.n - at, &cp);
        enum pychar_map m = !title ? map : in_word ? PY_TO_LOWER : PY_TO_TITLE;
        if (cp == UTF8_BAD)
            buf_add(out, s.p + at, 1);
        else if (cp == CAPITAL_SIGMA && m == PY_TO_LOWER && cased && !cased_follows(s, at + len))
            add_mapped(out, FINAL_SIGMA, m);
        else
            add_mapped(out, cp, m);
        in_word = cp != UTF8_BAD && is_cased(cp);
        if (cp == UTF8_BAD || !pychar_is(cp, PY_CASE_IGNORABLE))
            cased = in_word;
        at += len;
    }
}

void py_lower(struct buf *out, struct str s)
{
    map_from(out, s, 0, PY_TO_LOWER, false);
}

void py_upper(struct buf *out, struct str s)
{
    map_from(out, s, 0, PY_TO_UPPER, false);
}

void py_title(struct buf *out, struct str s)
{
    map_from(out, s, 0, PY_TO_TITLE, true);
}

void py_capitalize(struct buf *out, struct str s)
{
    uint32_t cp;
    if (!s.n)
        return;
    size_t len = (size_t)utf8_decode(s.p, s.n, &cp);
    if (cp == UTF8_BAD)
        buf_add(out, s.p, 1);
    else
        add_mapped(out, cp, PY_TO_TITLE);
    map_from(out, s, len, PY_TO_LOWER, false);
}

struct str py_lstrip(struct str s)
{
    while (s.n) {
        uint32_t cp;
        size_t len = (size_t)utf8_decode(s.p, s.n, &cp);
        if (!pychar_is(cp, PY_SPACE))
            break;
        s = str_slice(s, len, s.n);
    }
    return s;
}

struct str py_rstrip(struct str s)
{
    while (s.n) {
        size_t at = s.n - 1;
        uint32_t cp;
        while (at > 0 && s.n - at < 4 && (s.p[at] & 0xc0) == 0x80)
            at--;
        if ((size_t)utf8_decode(s.p + at, s.n - at, &cp) != s.n - at || !pychar_is(cp, PY_SPACE))
            break;
        s.n = at;
    }
    return s;
}

size_t py_line_end(const char *p, size_t n)
{
    uint32_t cp;
    if (!n)
        return 0;
    if (*p == '\r')
        return n > 1 && p[1] == '\n' ? 2 : 1;
    size_t len = (size_t)utf8_decode(p, n, &cp);
    bool ends = (cp >= 0x0a && cp <= 0x0d) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 ||
                cp == 0x2028 || cp == 0x2029;
    return ends ? len : 0;
}
