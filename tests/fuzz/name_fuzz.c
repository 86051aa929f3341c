/* Names of models: what is taken is a path of four harmless parts, and reads back as itself. */
#include "store/name.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_part(const char *p, size_t max)
{
    size_t n = strlen(p);
    if (n == 0 || n > max || p[0] == '.' || p[0] == '-' || strchr(p, '/'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct model_name name, back;
    struct err err;
    if (name_parse(&name, (struct str){(const char *)data, n}, &err) != OK) {
        if (!err.msg[0])
            abort();
        return 0;
    }
    check_part(name.host, 350);
    check_part(name.ns, 80);
    check_part(name.model, 80);
    check_part(name.tag, 80);
    for (int full = 0; full < 2; full++) {
        struct buf text;
        buf_init(&text, 4096);
        if (full)
            name_full(&name, &text);
        else
            name_short(&name, &text);
        if (name_parse(&back, buf_str(&text), &err) != OK || !name_equal(&name, &back))
            abort();
        buf_release(&text);
    }
    return 0;
}
