/* The choices of a seed, as lines to read. */
#include "simulate/world.h"

#include <inttypes.h>
#include <stdio.h>

#include "tensor/table.h"

enum { PROGRAM = 0, NO_SLOT = UINT32_MAX };

static struct ftli_world_choice *next(struct ftli_world *world)
{
    struct ftli_world_choice *choice = &world->history[world->choices++ % FTLI_HISTORY_MOST];
    *choice = (struct ftli_world_choice){.step = ftli_world_step(world), .slot = NO_SLOT};
    choice->time_ns = world->runtime != NULL ? ftli_kernel_now_ns(world->runtime->kernel) : 0;
    return choice;
}

void ftli_world_note(struct ftli_world *world, const char *what, unsigned slot, uint64_t value)
{
    uint64_t mixed = world->result.hash ^ (uint64_t)slot << 48 ^ value;
    world->result.hash = ftli_splitmix64(&mixed);
    struct ftli_world_choice *choice = next(world);
    choice->kind = PROGRAM;
    choice->text = what;
    choice->slot = slot;
    choice->value = value;
    choice->lane = (uint8_t)world->playing;
}

/* An item that comes to the cleanup or to a finalizer's worker is a header. */
void ftli_world_watch(void *user, const ftli_simulation_choice *made)
{
    struct ftli_world *world = user;
    struct ftli_world_choice *choice = next(world);
    choice->kind = (uint8_t)made->kind;
    choice->lane = (uint8_t)made->lane;
    choice->value = made->value;
    choice->text = made->actor != NULL ? ftli_actor_name(made->actor) : "";
    if (made->link != NULL && ftli_link_is_item(made->link)) {
        const struct ftli_header *header = ftli_header_of_link((ftli_link *)(uintptr_t)made->link);
        choice->slot = ftli_table_slot(&world->runtime->table, header);
        choice->purpose = (uint8_t)ftli_header_purpose(header);
    }
}

/* ---- as text ----------------------------------------------------------------------------------------------------------- */

static const char *purpose_text(unsigned purpose)
{
    static const char *const texts[] = {[FTLI_PURPOSE_DROP] = "the drop",
                                        [FTLI_PURPOSE_RECLAIM] = "the reclaim",
                                        [FTLI_PURPOSE_GIVE_BACK] = "the memory",
                                        [FTLI_PURPOSE_FINALIZED] = "the finalizer's success",
                                        [FTLI_PURPOSE_FAILED] = "the finalizer's failure"};
    const char *text = purpose < sizeof texts / sizeof *texts ? texts[purpose] : NULL;
    return text != NULL ? text : "something";
}

static void message_text(const struct ftli_world_choice *choice, char *text, size_t size)
{
    static const char *const lanes[FTLI_LANES] = {"emergency", "high", "normal", "background"};
    if (choice->lane >= FTLI_LANES)
        snprintf(text, size, "a timer, or its tick");
    else if (choice->slot == NO_SLOT)
        snprintf(text, size, "a message of lane %s", lanes[choice->lane]);
    else
        snprintf(text, size, "%s of header %" PRIu32 ", lane %s", purpose_text(choice->purpose), choice->slot,
                 lanes[choice->lane]);
}

static void choice_text(const struct ftli_world_choice *choice, char *text, size_t size)
{
    char message[96];
    message_text(choice, message, sizeof message);
    switch (choice->kind) {
    case FTLI_CHOICE_RUN:
        snprintf(text, size, "run      %s, at most %" PRIu64 " messages", choice->text, choice->value);
        break;
    case FTLI_CHOICE_TIME:
        snprintf(text, size, "time     moves to %.3f s", (double)choice->value / 1e9);
        break;
    case FTLI_CHOICE_RECEIVE:
        snprintf(text, size, "receive  %s: %s", choice->text, message);
        break;
    case FTLI_CHOICE_KILL:
        snprintf(text, size, "fault    %s is killed before %s", choice->text, message);
        break;
    case FTLI_CHOICE_FAIL:
        snprintf(text, size, "fault    %s fails to receive %s", choice->text, message);
        break;
    default:
        if (choice->slot == NO_SLOT)
            snprintf(text, size, "program  thread %u: %s (%" PRIu64 ")", choice->lane, choice->text, choice->value);
        else
            snprintf(text, size, "program  thread %u: %s tensor %" PRIu32 " (%" PRIu64 ")", choice->lane, choice->text,
                     choice->slot, choice->value);
    }
}

void ftli_world_history(const struct ftli_world *world, unsigned most, void (*line)(void *, const char *), void *user)
{
    uint64_t kept = world->choices < FTLI_HISTORY_MOST ? world->choices : FTLI_HISTORY_MOST;
    kept = kept < most ? kept : most;
    for (uint64_t i = world->choices - kept; i < world->choices; i++) {
        const struct ftli_world_choice *choice = &world->history[i % FTLI_HISTORY_MOST];
        char text[192], whole[256];
        choice_text(choice, text, sizeof text);
        snprintf(whole, sizeof whole, "step %-5" PRIu64 " %8.3f s  %s", choice->step, (double)choice->time_ns / 1e9,
                 text);
        line(user, whole);
    }
}
