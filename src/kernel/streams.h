/* How few tokens read a matrix: from several places at once.
 *
 * One stream of addresses does not keep a core's memory pipes full: the prefetcher of the second
 * level runs about 20 lines ahead of each stream, which is less than what the memory of a server
 * could have in flight. So rows are read in sets of ROW_STREAMS that lie a quarter of the caller's
 * rows apart, a piece of each in turn, with ROW_AHEAD bytes asked for ahead. Two cores of an
 * Emerald Rapids read 17 to 21 GB/s in one stream and 28 to 35 in four; two or eight are slower,
 * and so are four neighbours, which share pages. Whole rows in turn gain a third of that. Each
 * row's sum keeps its own order. */
#pragma once

enum {
#ifndef ROW_STREAMS
    ROW_STREAMS = 4,
#endif
#ifndef ROW_AHEAD
    ROW_AHEAD = 1024,
#endif
};
