/* The table of sites: numbers that stay, a bound that holds, sums that are exact. */
#include <criterion/criterion.h>

#include "actors/tracking/site.h"
#include "runtime/base/os.h"
#include "tensor/header.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

TestSuite(site, .timeout = 100);

static struct ftli_sites *open_sites(uint32_t most)
{
    struct ftli_sites *sites;
    cr_assert_eq(ftli_sites_open(most, &sites), 0);
    return sites;
}

Test(site, the_same_text_and_the_same_stack_have_the_same_number)
{
    struct ftli_sites *sites = open_sites(100);
    const uintptr_t stack[3] = {0x1000, 0x2000, 0x3000}, other[3] = {0x1000, 0x2000, 0x3008};
    char copy[] = "server.c:40", text[300];
    uint32_t a = ftli_site_of_literal(sites, "server.c:40"), b = ftli_site_of_literal(sites, "server.c:4");
    uint32_t c = ftli_site_of_stack(sites, stack, 3);
    cr_expect(a >= 2 && b >= 2 && c >= 2 && a != b && b != c && a != c);
    cr_expect_eq(ftli_site_of_literal(sites, copy), a, "whatever its address");
    cr_expect_eq(ftli_site_of_stack(sites, stack, 3), c);
    cr_expect_eq(ftli_site_find_stack(sites, stack, 3), c);
    cr_expect_eq(ftli_site_find_stack(sites, other, 3), 0, "not there, and it does not come by being looked for");
    cr_expect_neq(ftli_site_of_stack(sites, stack, 2), c, "of another depth");
    cr_expect_neq(ftli_site_of_stack(sites, other, 3), c);
    cr_expect_eq(ftli_site_of_stack(sites, stack, 0), FTLI_SITE_UNKNOWN);
    cr_expect_eq(ftli_site_of_literal(sites, ""), FTLI_SITE_UNKNOWN);
    struct ftli_site_view view;
    cr_assert(ftli_site_read(sites, a, &view));
    cr_expect_str_eq(view.literal, "server.c:40");
    cr_assert(ftli_site_read(sites, c, &view));
    cr_expect(view.literal == NULL && view.count == 3 && memcmp(view.frames, stack, sizeof stack) == 0);
    cr_assert(ftli_site_read(sites, FTLI_SITE_OTHER, &view));
    cr_expect_str_eq(view.literal, "(other)");
    cr_expect_not(ftli_site_read(sites, ftli_sites_end(sites), &view));
    cr_expect_not(ftli_site_read(sites, UINT32_MAX, &view));
    ftli_site_text(sites, a, text, sizeof text);
    cr_expect_str_eq(text, "server.c:40");
    ftli_site_text(sites, UINT32_MAX, text, sizeof text);
    cr_expect_str_eq(text, "(unknown)");
    ftli_sites_close(sites);
}

Test(site, of_a_long_text_the_end_is_kept)
{
    struct ftli_sites *sites = open_sites(16);
    char path[300], text[300];
    memset(path, 'd', sizeof path);
    memcpy(path + sizeof path - 6, "/a.c:7", 6);
    path[sizeof path - 1] = '\0';
    uint32_t site = ftli_site_of_literal(sites, path);
    cr_expect_eq(ftli_site_of_literal(sites, path), site);
    ftli_site_text(sites, site, text, sizeof text);
    cr_expect_eq(strlen(text), FTLI_SITE_TEXT_BYTES - 1);
    cr_expect_str_eq(text + strlen(text) - 5, "/a.c:");
    cr_expect_eq(ftli_site_of_literal(sites, text), site, "the text that is kept is that site");
    path[sizeof path - 2] = '\0';
    cr_expect_neq(ftli_site_of_literal(sites, path), site);
    ftli_sites_close(sites);
}

Test(site, a_stack_says_where_it_is)
{
    struct ftli_sites *sites = open_sites(16);
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    char text[300];
    ftli_site_text(sites, ftli_site_of_stack(sites, &here, 1), text, sizeof text);
    cr_expect(strchr(text, '+') != NULL && strncmp(strchr(text, '+'), "+0x", 3) == 0, "%s", text);
    uintptr_t nowhere = 64;
    ftli_site_text(sites, ftli_site_of_stack(sites, &nowhere, 1), text, sizeof text);
    cr_expect_str_eq(text, "0x40");
    ftli_sites_close(sites);
}

/* The stated bound: what comes when the table is full is "(other)"; memory is that of `most` sites and no more. */
Test(site, a_million_sites_and_a_hundred_thousand_texts_are_a_bound)
{
    enum { MOST = 4096 };
    struct ftli_sites *sites = open_sites(MOST);
    uint64_t others = 0;
    for (uintptr_t i = 0; i < 1000000; i++) {
        uintptr_t stack[2] = {0x400000 + i * 16, 0x500000};
        others += ftli_site_of_stack(sites, stack, 2) == FTLI_SITE_OTHER;
    }
    cr_expect_eq(others, 1000000 - MOST);
    for (unsigned i = 0; i < 100000; i++) {
        char text[20];
        (void)snprintf(text, sizeof text, "file.c:%u", i);
        others += ftli_site_of_literal(sites, text) == FTLI_SITE_OTHER;
    }
    cr_expect_eq(others, 1100000 - MOST);
    cr_expect_eq(ftli_sites_refused(sites), others);
    cr_expect_eq(ftli_sites_end(sites), MOST + 2);
    cr_expect_leq(ftli_sites_used_bytes(sites), MOST * 1100);
    uintptr_t first[2] = {0x400000, 0x500000};
    cr_expect_eq(ftli_site_of_stack(sites, first, 2), 2, "those that are there are still found");
    ftli_sites_close(sites);
    sites = open_sites(FTLI_SITES_MOST);
    cr_expect_leq(ftli_os_resident_bytes(sites, ftli_os_page_bytes()), ftli_os_page_bytes());
    uint32_t last = 0;
    for (uintptr_t i = 0; i < 1000; i++)
        last = ftli_site_of_stack(sites, &(uintptr_t){0x400000 + i * 16}, 1);
    cr_expect_eq(last, 1001);
    ftli_sites_close(sites);
}

/* ---- threads */

enum { THREADS = 4, KINDS = 200, ROUNDS = 2000 };

struct worker {
    struct ftli_sites *sites;
    unsigned seed;
    uint32_t numbers[KINDS];
    uint64_t created[KINDS], dropped[KINDS], bytes[KINDS];
    bool differs;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned kind = (unsigned)rand_r(&worker->seed) % KINDS, weight = 40 + kind;
        uintptr_t stack[4] = {0x1000 + kind * 8, kind, 7, kind / 2};
        char text[32];
        (void)snprintf(text, sizeof text, "kind %u", kind);
        uint32_t site =
            kind % 2 == 0 ? ftli_site_of_stack(worker->sites, stack, 4) : ftli_site_of_literal(worker->sites, text);
        worker->differs = worker->differs || (worker->numbers[kind] != 0 && worker->numbers[kind] != site);
        worker->numbers[kind] = site;
        ftli_site_born(worker->sites, site, weight, i);
        worker->created[kind] += weight;
        worker->bytes[kind] += (uint64_t)weight * i;
        if (i % 3 != 0) {
            ftli_site_died(worker->sites, site, weight, i, i);
            worker->dropped[kind] += weight;
            worker->bytes[kind] -= (uint64_t)weight * i;
        }
    }
    return NULL;
}

Test(site, threads_agree_on_numbers_and_lose_no_count)
{
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    struct ftli_sites *sites = open_sites(KINDS + THREADS);
    for (unsigned t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){.sites = sites, .seed = t + 1};
        cr_assert_eq(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
    }
    for (unsigned t = 0; t < THREADS; t++)
        cr_assert_eq(pthread_join(threads[t], NULL), 0);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        uint64_t created = 0, dropped = 0, bytes = 0;
        uint32_t number = 0;
        for (unsigned t = 0; t < THREADS; t++) {
            created += workers[t].created[kind];
            dropped += workers[t].dropped[kind];
            bytes += workers[t].bytes[kind];
            cr_assert_not(workers[t].differs);
            if (workers[t].numbers[kind] == 0)
                continue;
            cr_assert(number == 0 || number == workers[t].numbers[kind], "kind %u", kind);
            number = workers[t].numbers[kind];
        }
        struct ftli_site_figures figures;
        ftli_site_figures(sites, number, &figures);
        cr_assert(number >= 2);
        cr_assert(figures.created == created && figures.dropped == dropped, "kind %u", kind);
        cr_assert_eq(figures.created_bytes - figures.dropped_bytes, bytes);
    }
    ftli_sites_close(sites);
}

Test(site, lifetimes_are_powers_of_two)
{
    static const uint32_t lived[] = {0, 1, 2, 3, 4, 7, 8, 1000, 1u << 30, (1u << 31) - 1, 1u << 31, UINT32_MAX};
    static const unsigned buckets[] = {0, 1, 2, 2, 3, 3, 4, 10, 31, 31, 31, 31};
    for (unsigned i = 0; i < sizeof lived / sizeof lived[0]; i++) {
        unsigned bucket = ftli_site_lifetime_bucket(lived[i]);
        cr_expect_eq(bucket, buckets[i], "%u ms", lived[i]);
        cr_expect(ftli_site_lifetime_from_ms(bucket) <= lived[i]);
        cr_expect(bucket == FTLI_SITE_LIFETIMES - 1 || lived[i] < ftli_site_lifetime_from_ms(bucket + 1));
    }
}

Test(site, a_number_out_of_a_broken_header_does_no_harm)
{
    struct ftli_sites *sites = open_sites(16);
    struct ftli_site_figures figures;
    ftli_site_died(sites, FTLI_SITES_MOST, 40, 100, 1);
    ftli_site_figures(sites, FTLI_SITES_MOST, &figures);
    cr_expect_eq(figures.dropped, 0);
    ftli_site_figures(sites, FTLI_SITE_UNKNOWN, &figures);
    cr_expect_eq(figures.dropped, 40);
    ftli_site_died(NULL, 2, 40, 100, 1);
    ftli_site_born(NULL, 2, 40, 100);
    cr_expect_eq(ftli_site_of_literal(NULL, "x"), 0);
    cr_expect_eq(ftli_sites_end(NULL), 0);
    ftli_sites_close(sites);
}

Test(site, a_record_keeps_weight_and_site_and_gives_the_slot_back)
{
    uint64_t record = ftli_record_make(123456, 17, 3, FTLI_HEADER_SCOPED);
    uint64_t sampled = ftli_record_sampled(record, FTLI_WEIGHT_MOST, FTLI_SITES_MOST);
    cr_expect_eq(ftli_record_site(sampled), FTLI_SITES_MOST);
    cr_expect_eq(ftli_record_weight(sampled), FTLI_WEIGHT_MOST);
    cr_expect_eq(ftli_record_class(sampled), 17);
    cr_expect_eq(ftli_record_device(sampled), 3);
    cr_expect_eq(ftli_record_flags(sampled), FTLI_HEADER_SCOPED | FTLI_HEADER_SAMPLED);
    cr_expect_eq(ftli_record_not_sampled(sampled, 123456), record);
    cr_expect(ftli_record_site(record) == 0 && ftli_record_weight(record) == 0);
}
