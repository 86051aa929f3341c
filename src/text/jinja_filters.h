/* The functions behind the filters' rows, by file. */
#pragma once
#include "text/jinja_run.h"

/* jinja_filters_text.c */
jbuiltin_fn jfilter_capitalize, jfilter_center, jfilter_format, jfilter_indent, jfilter_lower,
    jfilter_replace, jfilter_string, jfilter_title, jfilter_trim, jfilter_truncate, jfilter_upper,
    jfilter_wordcount, jfilter_wordwrap;

/* jinja_filters_html.c */
jbuiltin_fn jfilter_escape, jfilter_forceescape, jfilter_safe, jfilter_striptags, jfilter_urlencode,
    jfilter_xmlattr;

/* jinja_filters_number.c */
jbuiltin_fn jfilter_abs, jfilter_filesizeformat, jfilter_float, jfilter_int, jfilter_round;

/* jinja_filters_list.c */
jbuiltin_fn jfilter_batch, jfilter_dictsort, jfilter_first, jfilter_groupby, jfilter_items,
    jfilter_join, jfilter_last, jfilter_length, jfilter_list, jfilter_max, jfilter_min,
    jfilter_reverse, jfilter_slice, jfilter_sort, jfilter_sum, jfilter_unique;

/* jinja_filters_map.c */
jbuiltin_fn jfilter_attr, jfilter_default, jfilter_map, jfilter_reject, jfilter_rejectattr,
    jfilter_select, jfilter_selectattr;

/* jinja_json.c */
jbuiltin_fn jfilter_tojson;

/* The attribute `path` ("a.b.0", a string or an int; NULL: v itself) of v by items first, as the
 * filters with an attribute argument look it up. Undefined results become `absent` when given. */
const struct jval *jfilter_path(struct jrun *r, const struct jval *v, const struct jval *path,
                                const struct jval *absent);
/* v for comparison: strings in lower case unless case_sensitive. */
const struct jval *jfilter_key(struct jrun *r, const struct jval *v, bool case_sensitive);
