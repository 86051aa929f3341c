/* Mapped files ahead of their use: a thread of its own enters the pages that are in the page cache
 * into the page table, while others do something else. Pages that the first user would fault in one
 * by one are there when it comes. Nothing is read from the disk for it. */
#pragma once
#include "base/file.h"

struct touch;

/* maps (n of them, the array is copied) must stay until touch_stop. Starts nothing, and returns
 * NULL, where it cannot help: files larger than the memory there is, no thread to be had. */
struct touch *touch_start(const struct file_map *maps, size_t n);
/* Ends the thread if it still runs, and frees; NULL is harmless. */
void touch_stop(struct touch *t);
