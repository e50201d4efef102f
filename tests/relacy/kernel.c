/* An actor from the post to the receive: mailbox, actor word, ready words, sleep and wake-up.
 *
 * Shipped    runtime/kernel/mailbox.c, stack.h, actor.c, run.c, scheduler.c, worker.c, event.c, token.c, wait.c, kernel.c, failure.c,
 *            timer.c, watchdog.c: a kernel with one actor and one service thread, which runs worker.c's own loop.
 * Stand-in   ck's two list operations (ck/ck_stack.h); clock, futex and thread creation (system.c).
 *
 * In `signal` no thread sleeps: one runs the actor once while another posts, and the properties are about what they leave behind.
 *
 * Properties
 *   K1  no wake-up is lost: each message whose post returned is received although the service thread sleeps whenever it can
 *   K2  a message is received once, and with all that its sender wrote before the post
 *   K3  one thread at a time is inside the actor, a helper too, and sees what the one before it did
 *   K4  after a receive that failed and a restart the same message comes again, once
 *   K5  two actors that restart together (one_for_all) and fail at the same time are both up in the end, and their round is over
 *
 * planted: signal ftli_mailbox_push u64_fetch_add_seq_cst acq_rel : the push is not before the look at the word, in the one order of all (K1)
 * planted: signal push u32_load_seq_cst acquire : the poster's look at the word is not in that order (K1)
 * planted: signal release u32_cas_seq_cst acq_rel : the release of RUNNING is not in it (K1)
 * planted: signal ftli_mailbox_lane_has_new u64_load_seq_cst acquire : the runner's second look is not in it (K1)
 * planted: post ck_stack_push_upmc compare_exchange_strong relaxed : the push does not release (K2)
 * planted: post ck_stack_batch_pop_upmc exchange relaxed : the take does not acquire (K2)
 * planted: signal_help ftli_actor_try_take u32_cas_seq_cst release : a helper does not acquire what the runner left (K3)
 * planted: restart release u32_cas_seq_cst acquire : who failed does not release what it left to the next run (K3)
 * planted: round ftli_token_try_take u32_cas_acq_rel release : who has the round's token does not see what the last one wrote (K5)
 * planted: help ftli_actor_try_take u32_cas_seq_cst release : the next runner does not acquire (K3)
 * planted: help release u32_cas_seq_cst acquire : the last runner does not release (K3)
 * planted: post ftli_event_prepare u32_fetch_add_seq_cst acq_rel : the sleeper's announcement is not in the one order (K1)
 * planted: post ftli_group_has_ready u64_load_seq_cst acquire : its second look is not (K1)
 * planted: post advance u32_load_seq_cst acquire : the look for sleepers is not (K1)
 */
#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"
#include "tests/relacy/machine.h"
#include "tests/relacy/system.h"

enum { MESSAGES = 2 };

static ftli_kernel *kernel;
static ftli_actor *actor;
static struct {
    ftli_message message;
    uint64_t payload;
} messages[MESSAGES];
static struct {
    uint64_t received[MESSAGES]; /* the actor's own */
    uint64_t count;
    int failures;
} state;
static ftli_event done;
static ftli_atomic_u32 received;

static int on_message(void *self, ftli_context *context, ftli_message *message)
{
    (void)self;
    (void)context;
    const unsigned i = message->type;
    if (state.failures > 0) {
        state.failures--;
        return FTL_EBUSY;
    }
    RELACY_CHECK(messages[i].payload == 10 + i); /* K2 */
    RELACY_CHECK(state.received[i] == 0);        /* K2, K4 */
    state.received[i]++;
    state.count++;
    if (state.count == MESSAGES) {
        ftli_u32_store_seq_cst(&received, MESSAGES);
        (void)ftli_event_signal_all(&done);
    }
    return FTL_OK;
}

static ftli_decision restart_at_once(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    (void)self;
    (void)index;
    (void)restartable;
    (void)status;
    (void)now_ns;
    return (ftli_decision){FTLI_DECIDE_RESTART, 0};
}

static const ftli_actor_operations operations = {.type = "test", .on_message = on_message, .restartable = true};

static void destroy(void)
{
    if (kernel == NULL)
        return;
    kernel->started = false;
    kernel->groups[0].threads = NULL; /* worker.c freed it, or the last run was not ended */
    ftli_kernel_destroy(kernel);
    kernel = NULL;
}

static void begin(void)
{
    destroy();
    const ftli_group_options group = {.name = "service", .count = 1};
    const ftli_kernel_options options = {
        .groups = &group, .group_count = 1, .supervision = {.decide = restart_at_once}};
    const ftli_actor_options of_actor = {.operations = &operations, .state = &state, .group = "service"};
    for (unsigned i = 0; i < MESSAGES; i++) {
        messages[i].message = (ftli_message){.type = i};
        messages[i].payload = state.received[i] = 0;
    }
    state.count = 0;
    state.failures = 0;
    done = (ftli_event){{0}, {0}, {NULL}};
    ftli_u32_store_relaxed(&received, 0);
    RELACY_CHECK(ftli_kernel_create(&options, &kernel) == FTL_OK);
    RELACY_CHECK(ftli_kernel_add_actor(kernel, "actor", &of_actor, &actor) == FTL_OK);
    RELACY_CHECK(ftli_kernel_start(kernel) == FTL_OK);
    relacy_name(&actor->word, sizeof actor->word, "word");
    relacy_name(&actor->mailbox, sizeof actor->mailbox, "mailbox");
    relacy_name(kernel->groups[0].ready, sizeof kernel->groups[0].ready, "ready");
    relacy_name(&kernel->groups[0].own_event, sizeof(ftli_event), "event");
    relacy_name(&done, sizeof done, "done");
    relacy_name(messages, sizeof messages, "messages");
    relacy_name(&state, sizeof state, "state");
}

static void begin_failing(void)
{
    begin();
    state.failures = 1;
}

static void post(unsigned i)
{
    messages[i].payload = 10 + i;
    messages[i].message.type = i;
    ftli_actor_send(actor, FTLI_LANE_HIGH, &messages[i].message);
}

static void service(void)
{
    system_run(system_argument);
}

/* Sleeps until all was received, then ends the service thread. */
static void post_and_wait(void)
{
    post(0);
    for (;;) {
        const uint32_t ticket = ftli_event_prepare(&done);
        if (ftli_u32_load_seq_cst(&received) == MESSAGES) {
            ftli_event_cancel(&done);
            break;
        }
        RELACY_CHECK(ftli_event_wait(&done, ticket, FTLI_NEVER_NS));
    }
    ftli_group_turn(&kernel->groups[0], FTLI_GROUP_END);
}

static void post_one(void)
{
    post(1);
}

static void post_and_help(void)
{
    post(1);
    (void)ftli_actor_help(actor, 2);
}

/* ---- one run and one post, without the sleep ----------------------------------------------------------------------------------- */

static void begin_queued(void)
{
    begin();
    post(0);
}

static void run_once(void)
{
    uint32_t cursor = 0;
    (void)ftli_group_run_one(&kernel->groups[0], &cursor); /* false: the helper is inside */
}

static void help_once(void)
{
    (void)ftli_actor_help(actor, 1);
}

static void received_or_queued(void)
{
    const bool queued = ftli_u32_load_relaxed(&actor->word) == FTLI_WORD_QUEUED;
    RELACY_CHECK((ftli_u64_load_relaxed(&kernel->groups[0].ready[0]) != 0) == queued);
    RELACY_CHECK(state.count == MESSAGES || queued); /* K1 */
    destroy();
}

static relacy_test of_signal = {"signal", 2, begin_queued, {run_once, post_one}, received_or_queued, 6000, 10000, 0};
RELACY_TEST(of_signal)
static relacy_test of_helper = {"signal_help",      3,    begin_queued, {run_once, post_one, help_once},
                                received_or_queued, 8000, 8000,         0};
RELACY_TEST(of_helper)

/* ---- all of it -------------------------------------------------------------------------------------------------------------- */

static void all_received(void)
{
    RELACY_CHECK(state.count == MESSAGES);
    RELACY_CHECK(ftli_mailbox_depth(&actor->mailbox) == 0);
    destroy();
}

static relacy_test of_post = {"post", 3, begin, {service, post_and_wait, post_one}, all_received, 12000, 4000, 0};
RELACY_TEST(of_post)
static relacy_test of_help = {"help", 3, begin, {service, post_and_wait, post_and_help}, all_received, 8000, 4000, 0};
RELACY_TEST(of_help)
static relacy_test of_failure = {"restart",    3,    begin_failing, {service, post_and_wait, post_and_help},
                                 all_received, 6000, 3000,          0};
RELACY_TEST(of_failure)

/* ---- a round: two actors, each with a group of its own ------------------------------------------------------------------------- */

static ftli_actor *pair[2];
static struct {
    int failures;
    bool is_up;
    uint64_t received;
} pair_state[2];
static ftli_message pair_messages[2];

static int pair_start(void *self, ftli_context *context)
{
    (void)context;
    pair_state[(uintptr_t)self].is_up = true;
    return FTL_OK;
}

static void pair_stop(void *self, ftli_context *context)
{
    (void)context;
    pair_state[(uintptr_t)self].is_up = false;
}

static int pair_on_message(void *self, ftli_context *context, ftli_message *message)
{
    (void)context;
    (void)message;
    const uintptr_t i = (uintptr_t)self;
    RELACY_CHECK(pair_state[i].is_up);
    if (pair_state[i].failures > 0) {
        pair_state[i].failures--;
        return FTL_EBUSY;
    }
    pair_state[i].received++;
    return FTL_OK;
}

static const ftli_actor_operations pair_operations = {
    .type = "pair", .start = pair_start, .stop = pair_stop, .on_message = pair_on_message, .restartable = true};

static void begin_pair(void)
{
    static const char *const names[2] = {"first", "second"};
    destroy();
    const ftli_group_options groups[2] = {{.name = names[0], .count = 1, .lazy = true},
                                          {.name = names[1], .count = 1, .lazy = true}};
    const ftli_kernel_options options = {
        .groups = groups,
        .group_count = 2,
        .supervision = {.decide = restart_at_once, .strategy = FTLI_RESTART_ONE_FOR_ALL}};
    RELACY_CHECK(ftli_kernel_create(&options, &kernel) == FTL_OK);
    for (uintptr_t i = 0; i < 2; i++) {
        const ftli_actor_options of_actor = {.operations = &pair_operations, .state = (void *)i, .group = names[i]};
        pair_state[i].failures = 1;
        pair_state[i].received = 0;
        pair_messages[i] = (ftli_message){.type = 0};
        RELACY_CHECK(ftli_kernel_add_actor(kernel, names[i], &of_actor, &pair[i]) == FTL_OK);
    }
    RELACY_CHECK(ftli_kernel_start(kernel) == FTL_OK);
    for (unsigned i = 0; i < 2; i++) {
        ftli_actor_send(pair[i], FTLI_LANE_HIGH, &pair_messages[i]);
        relacy_name(&pair[i]->word, 4, i == 0 ? "first word" : "second word");
        relacy_name(&pair[i]->round, 4, i == 0 ? "first round" : "second round");
        relacy_name(&pair[i]->resume_due_ns, 8, i == 0 ? "first date" : "second date");
    }
}

static void run_group(unsigned i, unsigned runs)
{
    uint32_t cursor = 0;
    while (runs-- > 0)
        (void)ftli_group_run_one(&kernel->groups[i], &cursor);
}

static void run_first(void)
{
    run_group(0, 3);
}

static void run_second(void)
{
    run_group(1, 3);
}

static void all_up(void)
{
    for (unsigned i = 0; i < 20; i++) /* what is left of it */
        run_group(i % 2, 2);
    for (unsigned i = 0; i < 2; i++) {
        RELACY_CHECK(pair_state[i].is_up && pair_state[i].received == 1);        /* K4, K5 */
        RELACY_CHECK(ftli_u32_load_relaxed(&pair[i]->round) == FTLI_ROUND_NONE); /* K5 */
        RELACY_CHECK(ftli_u32_load_relaxed(&pair[i]->word) == 0);
    }
    destroy();
}

static relacy_test of_round = {"round", 2, begin_pair, {run_first, run_second}, all_up, 4000, 8000, 0};
RELACY_TEST(of_round)
