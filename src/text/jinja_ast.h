/* The tree of a compiled template. Nodes live in the template's arena and never change after
 * compiling; names are numbered so that scopes compare integers. */
#pragma once
#include "text/jinja_value.h"

enum jnode_kind {
    /* expressions */
    N_CONST,
    N_NAME,
    N_LIST,
    N_TUPLE,
    N_DICT, /* list: key, value, key, value ... */
    N_ATTR,
    N_ITEM,
    N_SLICE,
    N_CALL,
    N_FILTER,
    N_TEST,
    N_BINARY,
    N_AND,
    N_OR,
    N_NOT,
    N_NEG,
    N_POS,
    N_CONCAT,
    N_COMPARE,
    N_COND,
    /* statements */
    N_DATA,
    N_PRINT,
    N_IF,
    N_FOR,
    N_SET,
    N_SET_BLOCK,
    N_MACRO,
    N_CALL_BLOCK,
    N_FILTER_BLOCK,
    N_WITH,
    N_SCOPE, /* generation, block: a body in a scope of its own */
    N_BREAK,
    N_CONTINUE,
};

/* Operators of N_BINARY and of the links of N_COMPARE. */
enum jop {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN,
};

struct jnode;

struct jnodes {
    struct jnode **v;
    size_t n;
};

struct jkeyword {
    struct str name;
    struct jnode *value;
};

/* What stands in the parentheses of a call, filter or test. */
struct jcallargs {
    struct jnodes pos;
    struct jkeyword *kw;
    size_t n_kw;
    struct jnode *dyn_pos, *dyn_kw; /* *args and **kwargs, or NULL */
};

struct jparam {
    uint32_t id;
    struct str name;
    struct jnode *absent; /* the default, or NULL */
};

struct jmacro_def {
    struct str name;
    uint32_t id;
    struct jparam *params;
    size_t n_params;
    struct jnodes body;
    uint32_t caller_id, varargs_id, kwargs_id;
    bool uses_caller, uses_varargs, uses_kwargs;
};

struct jnode {
    enum jnode_kind kind;
    uint32_t line;
    union {
        const struct jval *value; /* N_CONST, N_DATA */
        struct {
            uint32_t id;
            const struct jval *text; /* the name as a string */
        } name;
        struct jnodes list;
        struct {
            struct jnode *a, *b, *c; /* N_SLICE: start, stop, step; N_COND: then, test, else */
            enum jop op;
        } op;
        struct {
            struct jnode *obj, *key; /* N_ITEM; a N_SLICE as key slices */
            const struct jval *name; /* N_ATTR */
        } get;
        struct {
            struct jnode *first;
            struct jnodes rest;
            enum jop *ops;
        } compare;
        struct {
            struct jnode *target; /* the callee or value; NULL in a filter block */
            const struct jbuiltin *fn;
            struct str fn_name;
            struct jcallargs *args;
        } call; /* N_CALL, N_FILTER, N_TEST */
        struct {
            struct jnode **tests; /* one per branch */
            struct jnodes *bodies;
            size_t n;
            struct jnodes otherwise;
        } cond;
        struct {
            struct jnode *target, *iter, *test;
            struct jnodes body, otherwise;
            uint32_t loop_id;
            bool recursive;
        } loop;
        struct {
            struct jnode *target, *value; /* N_SET; N_SET_BLOCK: value is its filter or NULL */
            struct jnodes body;
        } set; /* N_FILTER_BLOCK and N_SCOPE use value and body too */
        struct {
            struct jmacro_def *def;
            struct jnode *call; /* N_CALL_BLOCK */
        } macro;
        struct {
            struct jnodes targets, values;
            struct jnodes body;
        } with;
    };
};

struct jinja {
    struct arena arena;
    struct jnodes body;
    const struct jval **names; /* by id: the name as a string value */
    uint32_t n_names;
};

enum {
    MAX_TEMPLATE = 4 << 20, /* bytes of source */
    MAX_PARSE_DEPTH = 200,  /* nested expressions and statements */
    MAX_COMPILED = 1 << 30, /* bytes of arena while compiling */
};
