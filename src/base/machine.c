/* Sources: proc(5); the kernel's admin-guide, cgroup-v2 (memory.max, memory.current, memory.stat)
 * and cgroup-v1/memory. What cannot be read sets no limit. */
#include "base/machine.h"
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_CAP = 4608, LINE_CAP = 4352 };

/* The number behind `key` at the start of a line; false when there is none. */
static bool keyed_number(const char *path, const char *key, uint64_t *out)
{
    char line[256], *end = line;
    bool found = false;
    size_t n = strlen(key);
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, n) != 0 || (line[n] != ' ' && line[n] != ':'))
            continue;
        *out = strtoull(line + n + 1, &end, 10);
        found = end != line + n + 1;
    }
    if (f)
        fclose(f);
    return found;
}

/* A file that holds one number; false for "max" and for what is not there. */
static bool plain_number(const char *path, uint64_t *out)
{
    char line[64], *end = line;
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool read = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (read)
        *out = strtoull(line, &end, 10);
    return read && end != line;
}

/* The two versions name the same things differently. */
static const struct version {
    const char *mount, *limit, *used, *inactive, *active;
} v2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file", "active_file"},
  v1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
        "total_inactive_file", "total_active_file"};

struct limits {
    uint64_t limit, left; /* UINT64_MAX: none */
};

/* The limits of one group, folded into l. */
static void fold_group(const char *root, const struct version *v, const char *group,
                       struct limits *l)
{
    char path[PATH_CAP];
    uint64_t limit, used = 0, inactive = 0, active = 0;
    snprintf(path, sizeof path, "%s%s%s/%s", root, v->mount, group, v->limit);
    if (!plain_number(path, &limit) || limit >= (uint64_t)1 << 62) /* version 1's "none" */
        return;
    snprintf(path, sizeof path, "%s%s%s/%s", root, v->mount, group, v->used);
    if (!plain_number(path, &used))
        used = 0;
    snprintf(path, sizeof path, "%s%s%s/memory.stat", root, v->mount, group);
    if (!keyed_number(path, v->inactive, &inactive))
        inactive = 0;
    if (!keyed_number(path, v->active, &active))
        active = 0;
    uint64_t cached = inactive + active;
    used = used > cached ? used - cached : 0;
    uint64_t left = limit > used ? limit - used : 0;
    l->limit = limit < l->limit ? limit : l->limit;
    l->left = left < l->left ? left : l->left;
}

/* A group and those around it, up to the mount. In a container the path may be one of the host's
 * that cannot be seen from inside; then only the mount itself answers. */
static void fold_groups(const char *root, const struct version *v, char *group, struct limits *l)
{
    group[strcspn(group, "\n")] = 0;
    for (char *slash; (slash = strrchr(group, '/')); *slash = 0)
        if (slash[1])
            fold_group(root, v, group, l);
    fold_group(root, v, "", l);
}

/* Whether a word is in a list with commas. */
static bool list_has(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; *p; p += p[0] == ',') {
        size_t part = strcspn(p, ",");
        if (part == n && memcmp(p, word, n) == 0)
            return true;
        p += part;
    }
    return false;
}

static struct limits group_limits(const char *root)
{
    struct limits l = {UINT64_MAX, UINT64_MAX};
    char path[PATH_CAP], line[LINE_CAP];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) { /* HIERARCHY:CONTROLLERS:PATH */
        char *controllers = strchr(line, ':'), *group;
        if (!controllers || !(group = strchr(controllers + 1, ':')))
            continue;
        *group++ = 0;
        controllers++;
        if (list_has(controllers, "memory"))
            fold_groups(root, &v1, group, &l);
        else if (strncmp(line, "0:", 2) == 0)
            fold_groups(root, &v2, group, &l);
    }
    if (f)
        fclose(f);
    return l;
}

uint64_t machine_memory_available(const char *root)
{
    char path[PATH_CAP];
    uint64_t kb = 0;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    uint64_t free = keyed_number(path, "MemAvailable", &kb) ? kb * 1024 : UINT64_MAX;
    uint64_t left = group_limits(root).left;
    left = left < free ? left : free;
    return left == UINT64_MAX ? 0 : left;
}

uint64_t machine_memory_limit(const char *root)
{
    uint64_t limit = group_limits(root).limit;
    return limit == UINT64_MAX ? 0 : limit;
}

bool machine_size_from(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false; /* strtod would take signs, spaces, "inf" and "nan" */
    double v = strtod(text, &end);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit)
        v *= pow(1024, (double)(unit - units + 1));
    if (end == text || (*end && (!unit || end[1])) || !(v >= 0 && v < 9.2e18))
        return false;
    *bytes = (uint64_t)v;
    return true;
}

enum status memory_to_use(uint64_t *out, struct err *err)
{
    uint64_t have = machine_memory_available(""), bytes;
    const char *said = getenv("HEARTH_MEMORY");
    *out = have ? have : UINT64_MAX;
    if (!said || !*said)
        return OK;
    if (!machine_size_from(said, &bytes))
        return err_set(err, EUSAGE, "HEARTH_MEMORY: '%.40s', expected a size such as 500M or 6G",
                       said);
    *out = bytes < *out ? bytes : *out;
    return OK;
}
