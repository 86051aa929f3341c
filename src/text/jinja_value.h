/* Values of templates, inside text/: the representation behind `struct jval` and what Python's
 * objects do with each other (truth, equality, order, hash, str, repr).
 *
 * A value never changes once something else can see it, except the two that Python's sandbox
 * lets templates change: the attributes of a namespace and the position of a generator. Strings
 * carry their length in code points, so that indexing ASCII is direct; a byte that is not UTF-8
 * counts as one character. Everything lives in an arena; slices of strings share the bytes. */
#pragma once
#include "text/jinja.h"
#include "base/err.h"

/* The Python types that share JV_LIST: one array, different rules. */
enum jval_list_type {
    JL_LIST,
    JL_TUPLE,
    JL_GROUP, /* groupby's (grouper, list) pair: a tuple with two named attributes */
    JL_RANGE,
    JL_GENERATOR, /* can be walked once, has no length */
    JL_KEYS,
    JL_VALUES,
    JL_ITEMS,
};

enum jval_callable_type {
    JC_FUNCTION, /* a global */
    JC_METHOD,   /* bound to `self` */
    JC_MACRO,
    JC_LOOP,
    JC_CYCLER,
    JC_JOINER,
};

struct jbuiltin;
struct jmacro;
struct jloop;

struct jentry {
    const struct jval *key, *value;
    uint64_t hash;
};

/* Insertion order in `e`; `index` (entry + 1, 0 empty, open addressing) only for larger maps. */
struct jmap {
    struct jentry *e;
    size_t n, cap;
    uint32_t *index;
    size_t n_index; /* a power of two, or 0 */
    /* Of Go's structs: what JSON writes in their place, since fields have other names there; NULL:
     * the map itself. */
    const struct jval *json;
};

/* Marks of values in Go's templates (gotmpl.h). */
enum jval_go {
    GO_STRUCT = 1, /* a map that is a struct: fields in order, an unknown one is an error */
    GO_JSON = 2,   /* a map or list that prints as JSON */
    GO_NIL = 4,    /* an empty list or map that JSON writes as null */
    GO_ALONE = 8,  /* a list that prints, and is in JSON, its element when it has just one */
    GO_TYPED = 16, /* a number with a Go type; without: one from JSON, int or float alike */
};

struct jcallable {
    const struct jbuiltin *fn;
    const struct jval *self;
    struct jmacro *macro;
    struct jloop *loop;
    struct {
        const struct jval *const *v;
        size_t n;
    } items;     /* of a cycler; a joiner has its separator there */
    size_t *pos; /* of a cycler; whether a joiner was used */
};

struct jval {
    uint8_t kind; /* enum jval_kind */
    uint8_t sub;  /* list or callable type */
    bool safe;    /* a string that is Markup: already escaped */
    uint8_t go;   /* enum jval_go */
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            const char *p;
            size_t n, chars;
        } s;
        struct {
            const struct jval **v;
            size_t n, cap;
            int64_t *range; /* JL_RANGE: start, stop, step */
            bool *taken;    /* JL_GENERATOR: has been walked */
        } list;
        struct jmap *map; /* also the attributes of a namespace */
        struct jcallable *call;
        struct {
            const struct jval *obj, *name; /* obj NULL: a missing variable */
            struct str hint;               /* .p NULL: message from obj and name */
            bool unsafe;                   /* using it is a security error */
        } u;
    };
};

extern const struct jval jval_true, jval_false, jval_none;

static inline const struct jval *jval_of_bool(bool b)
{
    return b ? &jval_true : &jval_false;
}

static inline struct str jval_text(const struct jval *v) /* v is a string */
{
    return (struct str){v->s.p, v->s.n};
}

static inline bool jval_is_number(const struct jval *v) /* bool is a number in Python */
{
    return v->kind == JV_INT || v->kind == JV_FLOAT || v->kind == JV_BOOL;
}

static inline bool jval_is_integer(const struct jval *v)
{
    return v->kind == JV_INT || v->kind == JV_BOOL;
}

static inline int64_t jval_integer(const struct jval *v) /* v is an int or a bool */
{
    return v->kind == JV_BOOL ? v->b : v->i;
}

static inline double jval_number(const struct jval *v)
{
    return v->kind == JV_FLOAT ? v->f : (double)jval_integer(v);
}

static inline bool jval_is_tuple(const struct jval *v)
{
    return v->kind == JV_LIST && (v->sub == JL_TUPLE || v->sub == JL_GROUP);
}

/* All return NULL when the arena is full. */
struct jval *jval_new(struct arena *a, enum jval_kind kind);
struct jval *jval_str_view(struct arena *a, const char *p, size_t n); /* p outlives the arena */
struct jval *jval_list_of(struct arena *a, enum jval_list_type type, const struct jval **v,
                          size_t n); /* v is kept */

/* Maps with any hashable key. jmap_set: false when the arena is full; the caller has checked
 * jval_hash. */
struct jmap *jmap_new(struct arena *a);
bool jmap_set(struct arena *a, struct jmap *m, const struct jval *key, const struct jval *value);
const struct jval *jmap_find(const struct jmap *m, const struct jval *key);
const struct jval *jmap_find_str(const struct jmap *m, struct str key);

bool jval_hash(const struct jval *v, uint64_t *h); /* false: not hashable, as a list */
bool jval_truth(const struct jval *v);
bool jval_equal(const struct jval *a, const struct jval *b);
/* Compares at most *left values, counting down; unequal when there are more. */
bool jval_equal_within(const struct jval *a, const struct jval *b, uint64_t *left);
/* *order < 0, 0, > 0; false: Python raises TypeError for a < b. With a NaN *order is 2. */
bool jval_compare(const struct jval *a, const struct jval *b, int *order);

const char *jval_type_name(const struct jval *v); /* Python's: "str", "dict", "NoneType" */

/* Python's str() and repr(), appended. Undefined is "" and "Undefined". */
void jval_print(struct buf *out, const struct jval *v);
void jval_repr(struct buf *out, const struct jval *v);
void jval_repr_str(struct buf *out, struct str s);
void jval_print_float(struct buf *out, double f); /* shortest digits that give f back */

/* Strings as code points. */
size_t jstr_count(const char *p, size_t n);
/* Byte offset of character `i` (i <= chars). */
size_t jstr_offset(const struct jval *s, size_t i);
