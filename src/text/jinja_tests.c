/* Tests (`is ...`): one row each. */
#include "text/jinja_run.h"
#include "text/pystr.h"

#define TEST(name)                                                                                 \
    static const struct jval *name(struct jrun *r, const struct jval *self,                        \
                                   const struct jargs *args)

/* Tests that only look at the value. */
#define SIMPLE_TEST(name, condition)                                                               \
    TEST(name)                                                                                     \
    {                                                                                              \
        (void)r;                                                                                   \
        (void)args;                                                                                \
        return jval_of_bool(condition);                                                            \
    }

SIMPLE_TEST(t_boolean, self->kind == JV_BOOL)
SIMPLE_TEST(t_callable,
            self->kind == JV_UNDEFINED || (self->kind == JV_CALLABLE && self->sub != JC_CYCLER))
SIMPLE_TEST(t_defined, self->kind != JV_UNDEFINED)
SIMPLE_TEST(t_undefined, self->kind == JV_UNDEFINED)
SIMPLE_TEST(t_escaped, self->kind == JV_STRING && self->safe)
SIMPLE_TEST(t_false, self->kind == JV_BOOL && !self->b)
SIMPLE_TEST(t_true, self->kind == JV_BOOL && self->b)
SIMPLE_TEST(t_float, self->kind == JV_FLOAT)
SIMPLE_TEST(t_integer, self->kind == JV_INT)
SIMPLE_TEST(t_iterable, self->kind == JV_STRING || self->kind == JV_LIST || self->kind == JV_MAP ||
                            self->kind == JV_UNDEFINED ||
                            (self->kind == JV_CALLABLE && self->sub == JC_LOOP))
SIMPLE_TEST(t_mapping, self->kind == JV_MAP)
SIMPLE_TEST(t_none, self->kind == JV_NULL)
SIMPLE_TEST(t_number, jval_is_number(self))
SIMPLE_TEST(t_sequence, self->kind == JV_STRING || self->kind == JV_MAP ||
                            self->kind == JV_UNDEFINED ||
                            (self->kind == JV_LIST && self->sub < JL_GENERATOR))
SIMPLE_TEST(t_string, self->kind == JV_STRING)
SIMPLE_TEST(t_sameas, self == args->pos[0] || (self->kind == args->pos[0]->kind &&
                                               (self->kind == JV_NULL || self->kind == JV_BOOL ||
                                                self->kind == JV_INT) &&
                                               jval_equal(self, args->pos[0])))

static const struct jval *filter_exists(struct jrun *r, const struct jval *self,
                                        const struct jbuiltin *(*find)(struct str))
{
    (void)r;
    return jval_of_bool(self->kind == JV_STRING && find(jval_text(self)));
}

TEST(t_filter)
{
    (void)args;
    return filter_exists(r, self, jinja_find_filter);
}

TEST(t_test)
{
    (void)args;
    return filter_exists(r, self, jinja_find_test);
}

static const struct jval *one_case(struct jrun *r, const struct jval *self, const char *method)
{
    bool unsafe;
    struct str s;
    struct jargs none = {0};
    const struct jval *text = jrun_text(r, self, &s) ? jrun_view(r, s) : NULL;
    return text ? jinja_find_method(text, str_from(method), &unsafe)->fn(r, text, &none) : NULL;
}

TEST(t_lower)
{
    (void)args;
    return one_case(r, self, "islower");
}

TEST(t_upper)
{
    (void)args;
    return one_case(r, self, "isupper");
}

static const struct jval *remainder_is(struct jrun *r, const struct jval *a, const struct jval *b,
                                       int64_t want)
{
    const struct jval *rest = jrun_binary(r, OP_MOD, a, b);
    struct jval wanted = {.kind = JV_INT, .i = want};
    return rest ? jval_of_bool(jval_equal(rest, &wanted)) : NULL;
}

static const struct jval two = {.kind = JV_INT, .i = 2};

TEST(t_even)
{
    (void)args;
    return remainder_is(r, self, &two, 0);
}

TEST(t_odd)
{
    (void)args;
    return remainder_is(r, self, &two, 1);
}

TEST(t_divisibleby)
{
    return remainder_is(r, self, args->pos[0], 0);
}

#define COMPARE_TEST(name, op)                                                                     \
    TEST(name)                                                                                     \
    {                                                                                              \
        bool yes;                                                                                  \
        return jrun_compare(r, op, self, args->pos[0], &yes) ? jval_of_bool(yes) : NULL;           \
    }

COMPARE_TEST(t_eq, OP_EQ)
COMPARE_TEST(t_ne, OP_NE)
COMPARE_TEST(t_lt, OP_LT)
COMPARE_TEST(t_le, OP_LE)
COMPARE_TEST(t_gt, OP_GT)
COMPARE_TEST(t_ge, OP_GE)
COMPARE_TEST(t_in, OP_IN)

#define OTHER .params = {"other"}, .required = 1

static const struct jbuiltin tests[] = {
    {.name = "boolean", .fn = t_boolean},
    {.name = "callable", .fn = t_callable},
    {.name = "defined", .fn = t_defined},
    {.name = "divisibleby", .fn = t_divisibleby, .params = {"num"}, .required = 1},
    {.name = "eq", .fn = t_eq, OTHER},
    {.name = "equalto", .fn = t_eq, OTHER},
    {.name = "==", .fn = t_eq, OTHER},
    {.name = "escaped", .fn = t_escaped},
    {.name = "even", .fn = t_even},
    {.name = "false", .fn = t_false},
    {.name = "filter", .fn = t_filter},
    {.name = "float", .fn = t_float},
    {.name = "ge", .fn = t_ge, OTHER},
    {.name = ">=", .fn = t_ge, OTHER},
    {.name = "gt", .fn = t_gt, OTHER},
    {.name = "greaterthan", .fn = t_gt, OTHER},
    {.name = ">", .fn = t_gt, OTHER},
    {.name = "in", .fn = t_in, .params = {"seq"}, .required = 1},
    {.name = "integer", .fn = t_integer},
    {.name = "iterable", .fn = t_iterable},
    {.name = "le", .fn = t_le, OTHER},
    {.name = "<=", .fn = t_le, OTHER},
    {.name = "lower", .fn = t_lower},
    {.name = "lt", .fn = t_lt, OTHER},
    {.name = "lessthan", .fn = t_lt, OTHER},
    {.name = "<", .fn = t_lt, OTHER},
    {.name = "mapping", .fn = t_mapping},
    {.name = "ne", .fn = t_ne, OTHER},
    {.name = "!=", .fn = t_ne, OTHER},
    {.name = "none", .fn = t_none},
    {.name = "number", .fn = t_number},
    {.name = "odd", .fn = t_odd},
    {.name = "sameas", .fn = t_sameas, OTHER},
    {.name = "sequence", .fn = t_sequence},
    {.name = "string", .fn = t_string},
    {.name = "test", .fn = t_test},
    {.name = "true", .fn = t_true},
    {.name = "undefined", .fn = t_undefined},
    {.name = "upper", .fn = t_upper},
};

const struct jbuiltin *jinja_find_test(struct str name)
{
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (str_is(name, tests[i].name))
            return &tests[i];
    return NULL;
}
