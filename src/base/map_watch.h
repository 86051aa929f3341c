/* The maps that file_map_guard's handler knows. Private to file.c. */
#pragma once
#include <stddef.h>

struct map_watch;

/* NULL when all places are taken: the map is then not guarded. */
struct map_watch *map_watch_begin(const void *p, size_t n);
void map_watch_end(struct map_watch *w); /* NULL is allowed; before the map goes */
