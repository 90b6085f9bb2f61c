/*
 * test_rowset.c - rows by key: what is there, in which order, and what goes when room is short.
 */
#include "base_test.h"
#include "lookup.h"

#include <stdio.h>

enum { ROOMY = 1 << 24, N = 2000 };

static clo_value
key_of(const char *s)
{
    return clo_text(s, strlen(s));
}

static clo_kept
add(clo_rowset *set, const char *key, int n, size_t room, bool parted)
{
    clo_value k = key != NULL ? key_of(key) : clo_null();
    char text[200];

    snprintf(text, sizeof text, "{\"n\":%d,\"k\":\"%s\"}", n, key != NULL ? key : "");
    return clo_rowset_add(set, &k, text, strlen(text), room, parted);
}

/* The numbers of a list, and nothing else, or one that does not belong. */
static int
count(clo_json *doc, int first, int step, bool more)
{
    const clo_json *data = clo_json_get(doc, "data");
    int n = (int)clo_json_len(data);

    assert_int_equal(clo_json_bool(clo_json_get(doc, "has_more")), more);
    for (int i = 0; i < n; i++)
        assert_int_equal(clo_json_int(clo_json_get(clo_json_at(data, (size_t)i), "n")),
                         first + i * step);
    clo_json_free(doc);
    return n;
}

static int
rows_of(const clo_rowset *set, const char *key, int first, int step)
{
    clo_value k = key_of(key);
    clo_err err;
    clo_json *doc = clo_rowset_list(set, &k, true, "test", &err);

    assert_non_null(doc);
    assert_int_equal(clo_json_int(clo_json_get(doc, "total_results")),
                     clo_json_len(clo_json_get(doc, "data")));
    return count(doc, first, step, false);
}

static void
by_key_and_by_page(void **state)
{
    clo_rowset *set = clo_rowset_new();
    char key[16];
    size_t at = 0;
    clo_err err;

    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "k%d", i % 7);
        assert_int_equal(add(set, i % 7 == 6 ? NULL : key, i, ROOMY, true), CLO_KEPT);
    }
    for (int k = 0; k < 6; k++) {
        snprintf(key, sizeof key, "k%d", k);
        assert_int_equal(rows_of(set, key, k, 7), (N - k + 6) / 7);
    }
    assert_int_equal(rows_of(set, "k6", 0, 0), 0); /* rows without a key equal nothing */
    assert_int_equal(rows_of(set, "", 0, 0), 0);
    for (int i = 0; i < N; i += 300)
        assert_int_equal(count(clo_rowset_page(set, &at, 300, "test", &err), i, 1, i + 300 < N),
                         i + 300 < N ? 300 : N - i);
    assert_int_equal(at, N);
    clo_rowset_unref(set);
}

static void
nothing_at_all(void **state)
{
    clo_rowset *set = clo_rowset_new();
    clo_value k = key_of("a");
    clo_err err;
    size_t at = 0;

    (void)state;
    assert_int_equal(rows_of(NULL, "a", 0, 0), 0);
    assert_int_equal(rows_of(set, "a", 0, 0), 0);
    assert_int_equal(count(clo_rowset_page(set, &at, 9, "test", &err), 0, 0, false), 0);
    assert_null(clo_rowset_object(set, &k, "test", &err));
    assert_false(clo_rowset_lacks(NULL, &k) || clo_rowset_lacks(set, NULL));
    assert_int_equal(add(set, "a", 1, 10, false), CLO_KEPT_FULL);
    clo_rowset_unref(set);
}

/* A key that JSON writes in another way, and one that is a piece of something else in the row. */
static void
keys_in_the_text(void **state)
{
    static const char written[] = "{\"n\":3,\"k\":\"a\\\"b\"}";
    clo_rowset *set = clo_rowset_new();
    clo_value odd = key_of("a\"b"), piece = key_of("n\":4");
    clo_err err;

    (void)state;
    assert_int_equal(clo_rowset_add(set, &odd, written, strlen(written), ROOMY, false), CLO_KEPT);
    assert_int_equal(clo_rowset_add(set, &piece, "{\"n\":4}", 7, ROOMY, false), CLO_KEPT);
    assert_int_equal(rows_of(set, "a\"b", 3, 0), 1);
    assert_int_equal(rows_of(set, "n\":4", 4, 0), 1);
    assert_int_equal(rows_of(set, "n", 0, 0), 0);
    assert_int_equal(rows_of(set, "a\\\"b", 0, 0), 0);
    assert_true(clo_rowset_has(set, &odd));
    clo_json_free(clo_rowset_object(set, &odd, "test", &err));
    clo_rowset_unref(set);
}

/* A set that is not parted keeps what it has. */
static void
full(void **state)
{
    clo_rowset *set = clo_rowset_new();
    clo_kept kept = CLO_KEPT;
    char key[16];
    int n = 0;

    (void)state;
    for (; kept == CLO_KEPT; n++) {
        snprintf(key, sizeof key, "k%d", n);
        kept = add(set, key, n, 20000, false);
    }
    assert_int_equal(kept, CLO_KEPT_FULL);
    assert_between(n, 100, 400);
    assert_true(clo_rowset_bytes(set) <= 20000);
    for (int i = 0; i < n - 1; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(rows_of(set, key, i, 0), 1);
    }
    clo_rowset_unref(set);
}

/* A parted one is whole for the keys that it has not given up, and these are as many as there is room for. */
static void
parts(void **state)
{
    (void)state;
    for (size_t room = 20000; room <= 320000; room *= 2) {
        clo_rowset *set = clo_rowset_new();
        int there = 0;
        char key[16];

        for (int i = 0; i < 2 * N; i++) {
            clo_kept kept;
            clo_value k;

            snprintf(key, sizeof key, "k%d", i % N);
            k = key_of(key);
            kept = add(set, i % 50 == 49 ? NULL : key, i, room, true);
            assert_int_equal(kept == CLO_KEPT_NOT, i % 50 == 49 ? clo_rowset_lacks(set, NULL)
                                                                : clo_rowset_lacks(set, &k));
            assert_true(kept == CLO_KEPT || kept == CLO_KEPT_NOT);
            assert_true(clo_rowset_bytes(set) <= room);
        }
        for (int i = 0; i < N; i++) {
            clo_value k;

            snprintf(key, sizeof key, "k%d", i);
            k = key_of(key);
            if (clo_rowset_lacks(set, &k)) {
                assert_false(clo_rowset_has(set, &k));
                continue;
            }
            assert_int_equal(rows_of(set, key, i, N), i % 50 == 49 ? 0 : 2);
            there++;
        }
        if (clo_rowset_lacks(set, NULL)) /* as full as parts allow */
            assert_true(clo_rowset_bytes(set) > room / 2);
        else
            assert_int_equal(there, N);
        clo_rowset_unref(set);
    }
}

static bool
try_to_fill(void *arg)
{
    clo_rowset *set = clo_rowset_new();
    bool ok = set != NULL;
    char key[16];

    for (int i = 0; ok && i < 600; i++) {
        snprintf(key, sizeof key, "k%d", i);
        ok = add(set, key, i, *(size_t *)arg, true) != CLO_KEPT_NOMEM;
    }
    clo_rowset_unref(set);
    return ok;
}

static void
out_of_memory(void **state)
{
    size_t roomy = ROOMY, tight = 20000;

    (void)state;
    oom_loop(try_to_fill, &roomy);
    oom_loop(try_to_fill, &tight);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_key_and_by_page),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(keys_in_the_text),
        cmocka_unit_test(full),
        cmocka_unit_test(parts),
        cmocka_unit_test(out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
