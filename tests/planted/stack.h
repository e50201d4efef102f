/* One thread pushes a hundred messages on a list, another takes them and sums what they carry. */
#ifndef FTLI_TESTS_PLANTED_STACK_H
#define FTLI_TESTS_PLANTED_STACK_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdbool.h>

#include "runtime/kernel/stack.h"

enum { FTLI_PLANTED_MESSAGES = 100 };

typedef struct {
    ftli_link link;
    int value;
} ftli_planted_message;

static struct {
    ftli_stack stack;
    ftli_planted_message messages[FTLI_PLANTED_MESSAGES];
    bool late; /* write each value after the push: the bug */
} planted;

static void *planted_push(void *unused)
{
    for (int i = 0; i < FTLI_PLANTED_MESSAGES; i++) {
        if (!planted.late)
            planted.messages[i].value = 1;
        ftli_stack_push(&planted.stack, &planted.messages[i].link);
        if (planted.late)
            planted.messages[i].value = 1;
    }
    return unused;
}

static void *planted_take(void *sum)
{
    for (int taken = 0; taken < FTLI_PLANTED_MESSAGES;) {
        for (ftli_link *link = ftli_stack_take_all(&planted.stack); link != NULL; taken++) {
            ftli_link *next = ftli_stack_next(link);
            *(int *)sum += ((ftli_planted_message *)(void *)link)->value;
            link = next;
        }
    }
    return NULL;
}

static inline void ftli_planted_hand_over(bool late)
{
    pthread_t pusher, taker;
    int sum = 0;
    planted.late = late;
    cr_assert_eq(pthread_create(&taker, NULL, planted_take, &sum), 0);
    cr_assert_eq(pthread_create(&pusher, NULL, planted_push, NULL), 0);
    cr_assert_eq(pthread_join(pusher, NULL), 0);
    cr_assert_eq(pthread_join(taker, NULL), 0);
    if (!late)
        cr_assert_eq(sum, FTLI_PLANTED_MESSAGES);
}

#endif
