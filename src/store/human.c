/* Numbers for people, worded as Ollama's lists word them. */
#include "store/info.h"
#include <math.h>
#include <stdio.h>

void human_count(uint64_t n, char *out, size_t size)
{
    double v = (double)n;
    if (n >= 1000000000) {
        v /= 1e9;
        snprintf(out, size, v == floor(v) ? "%.0fB" : "%.1fB", v);
    } else if (n >= 1000000) {
        v /= 1e6;
        snprintf(out, size, v == floor(v) ? "%.0fM" : "%.2fM", v);
    } else if (n >= 1000) {
        snprintf(out, size, "%.0fK", v / 1e3);
    } else {
        snprintf(out, size, "%.0f", v);
    }
}

void human_bytes(uint64_t n, char *out, size_t size)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double v = (double)n;
    size_t u = 0;
    while (v >= 1000 && u + 1 < sizeof units / sizeof *units) {
        v /= 1000;
        u++;
    }
    bool tenths = v < 10 && v != floor(v);
    snprintf(out, size, tenths ? "%.1f %s" : "%.0f %s", tenths ? v : floor(v), units[u]);
}

void human_ago(int64_t unix_ns, int64_t now_ns, char *out, size_t size)
{
    if (unix_ns == 0) {
        snprintf(out, size, "Never");
        return;
    }
    double s = now_ns > unix_ns ? (double)(now_ns - unix_ns) * 1e-9 : 0;
    long seconds = (long)s, minutes = (long)(s / 60), hours = (long)(s / 3600 + 0.5);
    if (seconds < 1)
        snprintf(out, size, "Less than a second ago");
    else if (seconds < 60)
        snprintf(out, size, "%ld second%s ago", seconds, seconds == 1 ? "" : "s");
    else if (minutes == 1)
        snprintf(out, size, "About a minute ago");
    else if (minutes < 60)
        snprintf(out, size, "%ld minutes ago", minutes);
    else if (hours == 1)
        snprintf(out, size, "About an hour ago");
    else if (hours < 48)
        snprintf(out, size, "%ld hours ago", hours);
    else if (hours < 24 * 7 * 2)
        snprintf(out, size, "%ld days ago", hours / 24);
    else if (hours < 24 * 30 * 2)
        snprintf(out, size, "%ld weeks ago", hours / 24 / 7);
    else if (hours < 24 * 365 * 2)
        snprintf(out, size, "%ld months ago", hours / 24 / 30);
    else
        snprintf(out, size, "%ld years ago", hours / 24 / 365);
}
