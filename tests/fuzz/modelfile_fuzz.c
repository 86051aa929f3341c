/* Modelfiles from hostile bytes: what is read can be printed and read again as the same. */
#include "base/log.h"
#include "store/create.h"
#include "store/modelfile.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void same(const struct modelfile_command *a, const struct modelfile_command *b)
{
    if (a->key != b->key || !str_eq(a->name, b->name) || !str_eq(a->value, b->value))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct modelfile m, again;
    struct create_recipe r;
    struct err err;
    struct buf text;
    log_set_level(LOG_ERROR);
    if (modelfile_parse(&m, (struct str){(const char *)data, n}, &err) == OK) {
        size_t said = 0;
        buf_init(&text, (size_t)1 << 26);
        for (size_t i = 0; i < m.n; i++)
            if (modelfile_print(&m.c[i], &text))
                m.c[said++] = m.c[i];
        if (modelfile_parse(&again, buf_str(&text), &err) == OK) {
            if (again.n != said)
                abort();
            for (size_t i = 0; i < said; i++)
                same(&m.c[i], &again.c[i]);
            if (said < 1000 && create_from_modelfile(&r, &again, "/", &again.arena, &err) == OK &&
                !r.from.n)
                abort();
        } else if (said && !strstr(err.msg, "no FROM line")) {
            abort();
        }
        modelfile_free(&again);
        buf_release(&text);
    }
    modelfile_free(&m);
    return 0;
}
