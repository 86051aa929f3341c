/* The filters: one row each. Left out of Jinja's built-ins: random (no rendering should differ
 * from the next) and urlize (HTML pages). */
#include "text/jinja_filters.h"

#define CASE_ATTRIBUTE .params = {"case_sensitive", "attribute"}

static const struct jbuiltin filters[] = {
    {.name = "abs", .fn = jfilter_abs},
    {.name = "attr", .fn = jfilter_attr, .params = {"name"}, .required = 1},
    {.name = "batch", .fn = jfilter_batch, .params = {"linecount", "fill_with"}, .required = 1},
    {.name = "capitalize", .fn = jfilter_capitalize},
    {.name = "center", .fn = jfilter_center, .params = {"width"}},
    {.name = "count", .fn = jfilter_length},
    {.name = "d", .fn = jfilter_default, .params = {"default_value", "boolean"}},
    {.name = "default", .fn = jfilter_default, .params = {"default_value", "boolean"}},
    {.name = "dictsort", .fn = jfilter_dictsort, .params = {"case_sensitive", "by", "reverse"}},
    {.name = "e", .fn = jfilter_escape},
    {.name = "escape", .fn = jfilter_escape},
    {.name = "filesizeformat", .fn = jfilter_filesizeformat, .params = {"binary"}},
    {.name = "first", .fn = jfilter_first},
    {.name = "float", .fn = jfilter_float, .params = {"default"}},
    {.name = "forceescape", .fn = jfilter_forceescape},
    {.name = "format", .fn = jfilter_format, .any = true},
    {.name = "groupby",
     .fn = jfilter_groupby,
     .params = {"attribute", "default", "case_sensitive"},
     .required = 1},
    {.name = "indent", .fn = jfilter_indent, .params = {"width", "first", "blank"}},
    {.name = "int", .fn = jfilter_int, .params = {"default", "base"}},
    {.name = "items", .fn = jfilter_items},
    {.name = "join", .fn = jfilter_join, .params = {"d", "attribute"}},
    {.name = "last", .fn = jfilter_last},
    {.name = "length", .fn = jfilter_length},
    {.name = "list", .fn = jfilter_list},
    {.name = "lower", .fn = jfilter_lower},
    {.name = "map", .fn = jfilter_map, .any = true},
    {.name = "max", .fn = jfilter_max, CASE_ATTRIBUTE},
    {.name = "min", .fn = jfilter_min, CASE_ATTRIBUTE},
    {.name = "reject", .fn = jfilter_reject, .any = true},
    {.name = "rejectattr", .fn = jfilter_rejectattr, .any = true},
    {.name = "replace", .fn = jfilter_replace, .params = {"old", "new", "count"}, .required = 2},
    {.name = "reverse", .fn = jfilter_reverse},
    {.name = "round", .fn = jfilter_round, .params = {"precision", "method"}},
    {.name = "safe", .fn = jfilter_safe},
    {.name = "select", .fn = jfilter_select, .any = true},
    {.name = "selectattr", .fn = jfilter_selectattr, .any = true},
    {.name = "slice", .fn = jfilter_slice, .params = {"slices", "fill_with"}, .required = 1},
    {.name = "sort", .fn = jfilter_sort, .params = {"reverse", "case_sensitive", "attribute"}},
    {.name = "string", .fn = jfilter_string},
    {.name = "striptags", .fn = jfilter_striptags},
    {.name = "sum", .fn = jfilter_sum, .params = {"attribute", "start"}},
    {.name = "title", .fn = jfilter_title},
    {.name = "tojson",
     .fn = jfilter_tojson,
     .params = {"ensure_ascii", "indent", "separators", "sort_keys"}},
    {.name = "trim", .fn = jfilter_trim, .params = {"chars"}},
    {.name = "truncate",
     .fn = jfilter_truncate,
     .params = {"length", "killwords", "end", "leeway"}},
    {.name = "unique", .fn = jfilter_unique, CASE_ATTRIBUTE},
    {.name = "upper", .fn = jfilter_upper},
    {.name = "urlencode", .fn = jfilter_urlencode},
    {.name = "wordcount", .fn = jfilter_wordcount},
    {.name = "wordwrap",
     .fn = jfilter_wordwrap,
     .params = {"width", "break_long_words", "wrapstring", "break_on_hyphens"}},
    {.name = "xmlattr", .fn = jfilter_xmlattr, .params = {"autospace"}},
};

const struct jbuiltin *jinja_find_filter(struct str name)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (str_is(name, filters[i].name))
            return &filters[i];
    return NULL;
}
