#include "actors/telemetry/leaks.h"

#include "actors/telemetry/json_text.h"

static struct ftli_json_text begin(char *out, size_t bytes)
{
    return (struct ftli_json_text){out, out + bytes, bytes == 0};
}

static size_t just(const char *what, char *out, size_t bytes)
{
    struct ftli_json_text text = begin(out, bytes);
    ftli_json_put(&text, what, strlen(what));
    return ftli_json_put_end(&text, out);
}

size_t ftli_telemetry_leaks_begin(const struct ftli_telemetry_leaks *leaks, char *out, size_t bytes)
{
    struct ftli_json_text text = begin(out, bytes);
    ftli_json_put(&text, "{\"runtime\":", 11);
    ftli_json_put_text(&text, leaks->runtime);
    ftli_json_put_number(&text, "process", leaks->process);
    ftli_json_put_number(&text, "scanned", leaks->scanned);
    ftli_json_put_number(&text, "elapsed_ns", leaks->elapsed_ns);
    ftli_json_put_number(&text, "watched_ns", leaks->watched_ns);
    ftli_json_put_number(&text, "leaked", leaks->leaked);
    ftli_json_put_number(&text, "leaked_bytes", leaks->leaked_bytes);
    ftli_json_put(&text, ",\"findings\":[", 13);
    return ftli_json_put_end(&text, out);
}

size_t ftli_telemetry_leaks_finding(const struct ftli_telemetry_leak *finding, bool first, char *out, size_t bytes)
{
    struct ftli_json_text text = begin(out, bytes);
    const ftl_leak *leak = finding->leak;
    char handle[24];
    (void)snprintf(handle, sizeof handle, "0x%016" PRIx64, leak->tensor.id);
    ftli_json_put(&text, ",", !first);
    ftli_json_put(&text, "{\"cause\":", 9);
    ftli_json_put_text(&text, finding->cause);
    ftli_json_put_number(&text, "certainty", leak->certainty);
    ftli_json_put_number(&text, "count", leak->count);
    ftli_json_put_number(&text, "bytes", leak->bytes);
    ftli_json_put_number(&text, "age_ns", leak->age_ns);
    ftli_json_put_key(&text, "growth_bytes_per_second");
    ftli_json_put_share(&text, leak->growth_bytes_per_second < 999999999 ? leak->growth_bytes_per_second : 999999999);
    ftli_json_put_words(&text, "tensor", handle);
    ftli_json_put_number(&text, "tag", leak->tag);
    ftli_json_put_words(&text, "label", leak->label);
    ftli_json_put_words(&text, "scope", leak->scope);
    ftli_json_put_words(&text, "site", leak->site);
    ftli_json_put_words(&text, "reason", finding->reason);
    ftli_json_put_words(&text, "fix", finding->fix);
    ftli_json_put_words(&text, "stack", finding->stack);
    ftli_json_put(&text, "}", 1);
    return ftli_json_put_end(&text, out);
}

size_t ftli_telemetry_leaks_caches(char *out, size_t bytes)
{
    return just("],\"caches\":[", out, bytes);
}

size_t ftli_telemetry_leaks_cache(const struct ftli_telemetry_cache *cache, bool first, char *out, size_t bytes)
{
    struct ftli_json_text text = begin(out, bytes);
    ftli_json_put(&text, ",", !first);
    ftli_json_put(&text, "{\"label\":", 9);
    ftli_json_put_text(&text, cache->label);
    ftli_json_put_number(&text, "tensors", cache->tensors);
    ftli_json_put_number(&text, "bytes", cache->bytes);
    ftli_json_put_number(&text, "age_ns", cache->age_ns);
    ftli_json_put(&text, "}", 1);
    return ftli_json_put_end(&text, out);
}

size_t ftli_telemetry_leaks_end(char *out, size_t bytes)
{
    return just("]}\n", out, bytes);
}
