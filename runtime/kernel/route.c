#include "runtime/kernel/route.h"

#include "runtime/kernel/kernel.h"

_Static_assert(offsetof(ftl_message, sent_ns) == offsetof(ftli_message, sent_ns) &&
                   offsetof(ftl_message, type) == offsetof(ftli_message, type) &&
                   offsetof(ftl_message, flags) == offsetof(ftli_message, flags),
               "both kinds of message begin alike");

static void send(ftli_route *route)
{
    if (route->foreign) {
        const uint64_t now_ns = ftli_kernel_now_ns(ftli_actor_kernel(route->to));
        route->u.message.sent_ns = now_ns;
        ftli_actor_post_foreign(route->to, route->lane, &route->u.message.link, now_ns);
    } else {
        ftli_actor_send(route->to, route->lane, &route->u.message);
    }
}

/* pairs: route-sent. Either this sees 0 and sends, or who is about to store 0 looks at `happened` after that. */
static void send_unless_sent(ftli_route *route)
{
    uint32_t sent = ftli_u32_load_seq_cst(&route->sent);
    if (sent == 0 && ftli_u32_cas_seq_cst(&route->sent, &sent, 1))
        send(route);
}

void ftli_route_happened(ftli_route *route)
{
    for (; route != NULL; route = route->next) {
        (void)ftli_u64_fetch_add_seq_cst(&route->happened, 1); /* pairs: route-sent */
        send_unless_sent(route);
    }
}

uint64_t ftli_route_begin(ftli_route *route)
{
    return ftli_u64_load_seq_cst(&route->happened);
}

void ftli_route_end(ftli_route *route, uint64_t seen)
{
    route->told = seen;
    ftli_u32_store_seq_cst(&route->sent, 0); /* pairs: route-sent */
    if (ftli_u64_load_seq_cst(&route->happened) != seen)
        send_unless_sent(route);
}
