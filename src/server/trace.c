#include "server/trace.h"
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>

/* Lower hex digits, not all zero. */
static bool id_valid(struct str s)
{
    bool zero = true;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        zero = zero && c == '0';
    }
    return !zero;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool trace_parse(struct str t, struct trace_context *out)
{
    /* version 0-1, trace 3-34, span 36-51, flags 53-54 */
    if (t.n < 55 || t.p[2] != '-' || t.p[35] != '-' || t.p[52] != '-' || digit(t.p[0]) < 0 ||
        digit(t.p[1]) < 0 || digit(t.p[53]) < 0 || digit(t.p[54]) < 0)
        return false;
    bool version0 = t.p[0] == '0' && t.p[1] == '0', ff = t.p[0] == 'f' && t.p[1] == 'f';
    if (ff || (version0 && t.n != 55) || (t.n > 55 && t.p[55] != '-'))
        return false;
    struct str trace = str_slice(t, 3, 35), span = str_slice(t, 36, 52);
    if (!id_valid(trace) || !id_valid(span))
        return false;
    *out = (struct trace_context){.sampled = digit(t.p[54]) & 1};
    memcpy(out->trace_id, trace.p, 32);
    memcpy(out->parent_id, span.p, 16);
    return true;
}

static void random_hex(char *out, int n)
{
    unsigned char bytes[16] = {0};
    gnutls_rnd(GNUTLS_RND_NONCE, bytes, sizeof bytes);
    bytes[0] |= 1; /* never all zero */
    for (int i = 0; i < n / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

void trace_begin(struct str traceparent, struct trace_context *out)
{
    if (!trace_parse(traceparent, out)) {
        *out = (struct trace_context){.sampled = true};
        random_hex(out->trace_id, 32);
    }
    random_hex(out->span_id, 16);
}
