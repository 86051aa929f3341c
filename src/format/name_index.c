/* Open addressing with linear probing at half load; slots hold positions, names stay with their
 * owner. */
#include "format/name_index.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/show.h"
#include <stdlib.h>

enum status name_index_build(struct name_index *x, const void *things, size_t n,
                             name_at_fn *name_at, const char *what, struct err *err)
{
    *x = (struct name_index){NULL, 0};
    size_t slots = 8;
    while (slots < n * 2)
        slots *= 2;
    if (n >= UINT32_MAX / 4 || !(x->slot = mem_array(slots, sizeof *x->slot)))
        return err_set(err, ENOMEMORY, "no memory for the names of %zu %ss", n, what);
    x->mask = slots - 1;
    for (size_t i = 0; i < n; i++) {
        struct str name = name_at(things, i);
        size_t at = hash_bytes(name.p, name.n) & x->mask, probes = 0;
        for (; x->slot[at]; at = (at + 1) & x->mask) {
            if (str_eq(name_at(things, x->slot[at] - 1), name))
                return err_set(err, EFORMAT, "%s '%s' appears twice", what, show(name).s);
            if (++probes > NAME_INDEX_PROBES)
                return err_set(err, EFORMAT, "%s names are made to collide at '%s'", what,
                               show(name).s);
        }
        x->slot[at] = (uint32_t)i + 1;
    }
    return OK;
}

void name_index_release(struct name_index *x)
{
    free(x->slot);
    *x = (struct name_index){NULL, 0};
}

size_t name_index_find(const struct name_index *x, const void *things, name_at_fn *name_at,
                       struct str name)
{
    if (!x->slot)
        return SIZE_MAX;
    for (size_t at = hash_bytes(name.p, name.n) & x->mask; x->slot[at]; at = (at + 1) & x->mask) {
        if (str_eq(name_at(things, x->slot[at] - 1), name))
            return x->slot[at] - 1;
    }
    return SIZE_MAX;
}
