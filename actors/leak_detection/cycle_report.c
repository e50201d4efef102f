/* What is said of cycles: their members, by label or handle, in the order in which they hold each other. */
#include <stdio.h>
#include <string.h>

#include "actors/leak_detection/report.h"

enum { PATH_MOST = 8 };

void ftli_leak_name(const struct ftli_leak_detection *leaks, uint64_t tensor, char *text, size_t bytes)
{
    struct ftli_leak_tensor seen;
    const char *label = "";
    if (ftli_leak_look(leaks, ftli_handle_slot(tensor), leaks->world.opened_ns, &seen) && seen.tensor == tensor)
        label = ftli_label_text(leaks->world.labels, seen.label);
    if (label[0] != '\0')
        (void)snprintf(text, bytes, "%s", label);
    else
        (void)snprintf(text, bytes, "0x%016llx", (unsigned long long)tensor);
}

static size_t append(char *text, size_t bytes, size_t at, const char *more)
{
    int n = at < bytes ? snprintf(text + at, bytes - at, "%s", more) : 0;
    return n > 0 ? at + (size_t)n : at;
}

static uint32_t links_of(const struct ftli_cycle_search *search, const struct ftli_cycle_node *root)
{
    uint32_t links = 0;
    for (uint32_t member = root->first; member != FTLI_CYCLE_NONE; member = search->nodes[member].next)
        links += search->nodes[member].own;
    return links;
}

void ftli_cycle_text(const struct ftli_leak_detection *leaks, struct ftli_cycle_search *search, uint32_t node,
                     char *text, size_t bytes)
{
    const struct ftli_cycle_node *root = &search->nodes[search->nodes[node].low];
    uint32_t path[PATH_MOST], links = links_of(search, root);
    uint32_t length = ftli_cycle_path(search, node, path, PATH_MOST);
    size_t at = append(text, bytes, 0, "cycle: ");
    char name[40];
    for (uint32_t i = 0; i < length && i < PATH_MOST; i++) {
        ftli_leak_name(leaks, ftli_cycle_tensor(search, path[i]), name, sizeof name);
        at = append(text, bytes, at, name);
        at = append(text, bytes, at, " -> ");
    }
    char rest[96] = "";
    if (length > PATH_MOST)
        (void)snprintf(rest, sizeof rest, "%u more -> ", length - PATH_MOST);
    at = append(text, bytes, at, rest);
    ftli_leak_name(leaks, ftli_cycle_tensor(search, node), name, sizeof name);
    at = append(text, bytes, at, name);
    if (root->members == length && links == length)
        return;
    (void)snprintf(rest, sizeof rest, " (%u tensors hold each other by %u links)", root->members, links);
    (void)append(text, bytes, at, rest);
}

/* All members into one finding; false: none of them is there any more. */
static bool gather(const struct ftli_leak_detection *leaks, const struct ftli_cycle_search *search, uint32_t root,
                   uint64_t now_ns, struct ftli_leak_finding *finding, uint32_t *oldest)
{
    for (uint32_t member = search->nodes[root].first; member != FTLI_CYCLE_NONE; member = search->nodes[member].next) {
        struct ftli_leak_tensor tensor;
        uint64_t id = ftli_cycle_tensor(search, member);
        if (!ftli_leak_look(leaks, ftli_handle_slot(id), now_ns, &tensor) || tensor.tensor != id)
            continue;
        bool older = tensor.age_ms > finding->tensor.age_ms ||
                     (tensor.age_ms == finding->tensor.age_ms && tensor.tensor < finding->tensor.tensor);
        if (finding->count == 0 || older) {
            finding->tensor = tensor;
            *oldest = member;
        }
        finding->count++;
        finding->bytes += tensor.bytes;
    }
    finding->tensor.cause = FTL_LEAK_CYCLE;
    return finding->count != 0;
}

int ftli_cycles_report(const struct ftli_leak_detection *leaks, struct ftli_cycle_search *search, uint64_t now_ns,
                       struct ftli_leak_groups *groups)
{
    for (uint32_t root = 0; root < search->count; root++) {
        struct ftli_leak_finding finding = {.certainty = 100};
        char reason[FTLI_LEAK_REASON_BYTES];
        uint32_t oldest = root;
        if (!ftli_cycle_is_root(search, root) || !ftli_cycle_is_leaked(search, root) ||
            !gather(leaks, search, root, now_ns, &finding, &oldest))
            continue;
        ftli_cycle_text(leaks, search, oldest, reason, sizeof reason);
        finding.reason = reason;
        int status = ftli_leak_groups_add_finding(groups, &finding);
        if (status != FTL_OK)
            return status;
    }
    return FTL_OK;
}
