#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tensor/label.h"

static struct ftli_labels labels;

static void open_labels(void)
{
    cr_assert_eq(ftli_labels_init(&labels), 0);
}

static void close_labels(void)
{
    ftli_labels_fini(&labels);
}

TestSuite(label, .init = open_labels, .fini = close_labels);

Test(label, nothing_is_label_0)
{
    cr_expect_eq(ftli_label_intern(&labels, NULL), 0);
    cr_expect_eq(ftli_label_intern(&labels, ""), 0);
    cr_expect_str_eq(ftli_label_text(&labels, 0), "");
    cr_expect_str_eq(ftli_label_text(&labels, FTLI_LABEL_OTHER), "(other)");
    cr_expect_str_eq(ftli_label_text(&labels, UINT32_MAX), "");
}

Test(label, each_text_is_kept_once)
{
    uint32_t kv = ftli_label_intern(&labels, "kv"), logits = ftli_label_intern(&labels, "logits");
    cr_expect_neq(kv, logits);
    cr_expect_gt(kv, (uint32_t)FTLI_LABEL_OTHER);
    char copy[] = "kv";
    cr_expect_eq(ftli_label_intern(&labels, copy), kv);
    cr_expect_str_eq(ftli_label_text(&labels, kv), "kv");
    cr_expect_str_eq(ftli_label_text(&labels, logits), "logits");
    cr_expect_neq(ftli_label_intern(&labels, "k"), kv, "a beginning is another label");
}

Test(label, keeps_31_bytes_and_whole_characters)
{
    uint32_t a = ftli_label_intern(&labels, "0123456789012345678901234567890");
    uint32_t b = ftli_label_intern(&labels, "0123456789012345678901234567890 and more");
    cr_expect_eq(a, b);
    cr_expect_eq(strlen(ftli_label_text(&labels, a)), 31);
    uint32_t c = ftli_label_intern(&labels, "012345678901234567890123456789\xc3\xa4"); /* two bytes, 30 and 31 */
    cr_expect_str_eq(ftli_label_text(&labels, c), "012345678901234567890123456789");
}

Test(label, what_no_longer_fits_is_other)
{
    char text[32];
    for (uint32_t i = FTLI_LABEL_OTHER + 1; i < FTLI_LABELS_MOST; i++) {
        (void)snprintf(text, sizeof text, "label %u", i);
        cr_assert_eq(ftli_label_intern(&labels, text), i);
    }
    cr_expect_eq(ftli_label_intern(&labels, "one more"), (uint32_t)FTLI_LABEL_OTHER);
    for (uint32_t i = FTLI_LABEL_OTHER + 1; i < FTLI_LABELS_MOST; i++) {
        (void)snprintf(text, sizeof text, "label %u", i);
        cr_assert_eq(ftli_label_intern(&labels, text), i, "%s is not found again", text);
        cr_assert_str_eq(ftli_label_text(&labels, i), text);
    }
    cr_expect_gt(ftli_labels_metadata_bytes(&labels), (size_t)FTLI_LABELS_MOST * FTLI_LABEL_BYTES - 1);
}

static void *intern_many(void *numbers)
{
    char text[32];
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(text, sizeof text, "shared %u", i);
        ((uint32_t *)numbers)[i] = ftli_label_intern(&labels, text);
    }
    return NULL;
}

Test(label, threads_agree)
{
    static uint32_t numbers[4][500];
    pthread_t threads[4];
    for (unsigned t = 0; t < 4; t++)
        cr_assert_eq(pthread_create(&threads[t], NULL, intern_many, numbers[t]), 0);
    for (unsigned t = 0; t < 4; t++)
        (void)pthread_join(threads[t], NULL);
    char text[32];
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(text, sizeof text, "shared %u", i);
        cr_assert_str_eq(ftli_label_text(&labels, numbers[0][i]), text);
        for (unsigned t = 1; t < 4; t++)
            cr_assert_eq(numbers[t][i], numbers[0][i]);
    }
}
