#include "tools/progress.h"

#include "tools/text.h"

#include <string.h>
#include <unistd.h>

enum { WIDTH = 30 };

void ftli_progress_begin(struct ftli_progress *progress, FILE *out, const char *what, uint64_t total, uint64_t now_ns)
{
    *progress = (struct ftli_progress){.out = out, .what = what, .total = total, .begin_ns = now_ns};
    progress->terminal = isatty(fileno(out)) != 0;
}

static void rate_text(char *text, size_t size, double per_second)
{
    if (per_second >= 1e6) {
        snprintf(text, size, "%.1f M/s", per_second / 1e6);
    } else if (per_second >= 1e3) {
        snprintf(text, size, "%.1f k/s", per_second / 1e3);
    } else {
        snprintf(text, size, "%.0f /s", per_second);
    }
}

void ftli_progress_line(char *line, size_t size, const char *what, uint64_t done, uint64_t total, uint64_t elapsed_ns)
{
    char bar[WIDTH + 1], rate[32], left[64] = "";
    double share = total == 0 || done > total ? 1.0 : (double)done / (double)total;
    int filled = (int)(share * WIDTH);
    memset(bar, ' ', WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[WIDTH] = '\0';
    rate_text(rate, sizeof rate, elapsed_ns == 0 ? 0 : (double)done * 1e9 / (double)elapsed_ns);
    if (done > 0 && done < total) {
        double left_ns = (double)elapsed_ns * (double)(total - done) / (double)done;
        snprintf(left, sizeof left, "   %s left", ftli_text_time((uint64_t)left_ns).text);
    }
    snprintf(line, size, "[%s] %s of %s %s   %s%s", bar, ftli_text_count(done).text, ftli_text_count(total).text, what,
             rate, left);
}

void ftli_progress_show(struct ftli_progress *progress, uint64_t done, uint64_t now_ns)
{
    uint64_t elapsed_ns = now_ns - progress->begin_ns;
    if (!progress->terminal || elapsed_ns < 1000000000u) {
        return;
    }
    char line[256];
    ftli_progress_line(line, sizeof line, progress->what, done, progress->total, elapsed_ns);
    fprintf(progress->out, "\r          %s\033[K", line);
    fflush(progress->out);
    progress->drawn = true;
}

void ftli_progress_end(struct ftli_progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", progress->out);
        fflush(progress->out);
        progress->drawn = false;
    }
}
