/* Tests of cache.c: finding, age, bounds, order of eviction, lack of memory. */
#include "base_test.h"

#include <stdio.h>

static clo_json *
doc(int n)
{
    char text[32];
    clo_err err;
    clo_json *j;
    snprintf(text, sizeof(text), "[%d]", n);
    j = clo_json_parse(text, strlen(text), "doc", &err);
    assert_non_null(j);
    return j;
}

static void
put(clo_cache *c, const char *key, int n, size_t bytes, size_t max, int64_t now)
{
    clo_json *j = doc(n);
    clo_cache_put(c, key, strlen(key), j, bytes, max, now);
    clo_json_free(j); /* the cache has its own reference */
}

/* The number in the document, -1 when it is not there. */
static int
got(clo_cache *c, const char *key, int64_t now, int64_t ttl)
{
    clo_json *j = clo_cache_get(c, key, strlen(key), now, ttl);
    int n = j ? (int)clo_json_int(clo_json_at(j, 0)) : -1;
    clo_json_free(j);
    return n;
}

static clo_cache *
fresh(void)
{
    clo_cache *c = clo_cache_new();
    assert_non_null(c);
    return c;
}

static void
finding(void **state)
{
    clo_cache *c = fresh();
    (void)state;
    assert_int_equal(got(c, "a", 0, 1000), -1);
    put(c, "a", 1, 10, 10000, 0);
    put(c, "ab", 2, 10, 10000, 0);
    put(c, "", 3, 10, 10000, 0);
    assert_int_equal(got(c, "a", 0, 1000), 1);
    assert_int_equal(got(c, "ab", 0, 1000), 2);
    assert_int_equal(got(c, "", 0, 1000), 3);
    assert_int_equal(got(c, "b", 0, 1000), -1);
    put(c, "a", 4, 10, 10000, 0);
    assert_int_equal(got(c, "a", 0, 1000), 4);
    clo_cache_clear(c);
    assert_int_equal(got(c, "a", 0, 1000), -1);
    put(c, "a", 5, 10, 10000, 0);
    assert_int_equal(got(c, "a", 0, 1000), 5);
    clo_cache_free(c);
    clo_cache_free(NULL);
}

static void
age(void **state)
{
    clo_cache *c = fresh();
    (void)state;
    put(c, "a", 1, 10, 10000, 5000);
    assert_int_equal(got(c, "a", 5100, 100), 1);
    assert_int_equal(got(c, "a", 5101, 100), -1);
    assert_int_equal(got(c, "a", 5101, INT64_MAX), 1);
    assert_int_equal(got(c, "a", 5000, 0), 1);
    assert_int_equal(got(c, "a", 5001, 0), -1);
    clo_cache_free(c);
}

static void
bounds(void **state)
{
    clo_cache *c = fresh();
    (void)state;
    for (int i = 0; i < 3; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        put(c, key, i, 1000, 3600, 0);
    }
    assert_int_equal(got(c, "k0", 0, 1), 0); /* used: now k1 is the oldest */
    put(c, "k3", 3, 1000, 3600, 0);
    assert_int_equal(got(c, "k1", 0, 1), -1);
    assert_int_equal(got(c, "k0", 0, 1), 0);
    assert_int_equal(got(c, "k2", 0, 1), 2);
    assert_int_equal(got(c, "k3", 0, 1), 3);
    put(c, "big", 9, 4000, 3600, 0); /* more than there is room for at all: nothing has to go */
    assert_int_equal(got(c, "big", 0, 1), -1);
    assert_int_equal(got(c, "k3", 0, 1), 3);
    put(c, "k3", 7, 4000, 3600, 0); /* but the older answer under that key is no longer true */
    assert_int_equal(got(c, "k3", 0, 1), -1);
    put(c, "none", 1, 0, 0, 0);
    assert_int_equal(got(c, "none", 0, 1), -1);
    clo_cache_free(c);
}

static void
many(void **state)
{
    clo_cache *c = fresh();
    char key[16];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        put(c, key, i, 1, 100 * 1000 * 1000, 0);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "key-%d", i);
        assert_int_equal(got(c, key, 0, 1), i);
    }
    clo_cache_free(c);
}

static void
readers_outlive_entries(void **state)
{
    clo_cache *c = fresh();
    clo_json *j;
    (void)state;
    put(c, "a", 42, 10, 10000, 0);
    j = clo_cache_get(c, "a", 1, 0, 1);
    clo_cache_free(c);
    assert_int_equal(clo_json_int(clo_json_at(j, 0)), 42);
    clo_json_free(j);
}

/* Texts and documents under one key replace each other, and are told apart. */
static void
texts(void **state)
{
    clo_cache *c = fresh();
    const char *text;
    size_t n = 0;
    (void)state;
    clo_cache_put_text(c, "a", 1, "[1,2]", 5, 10000, 0);
    text = clo_cache_text(c, "a", 1, 0, 1, &n);
    assert_non_null(text);
    assert_int_equal(n, 5);
    assert_memory_equal(text, "[1,2]", 5);
    assert_int_equal(got(c, "a", 0, 1), -1);
    assert_null(clo_cache_text(c, "a", 1, 2, 1, &n)); /* too old */
    put(c, "a", 8, 10, 10000, 0);
    assert_int_equal(got(c, "a", 0, 1), 8);
    assert_null(clo_cache_text(c, "a", 1, 0, 1, &n));
    clo_cache_put_text(c, "b", 1, "0123456789", 10, 9, 0); /* larger than the cache */
    assert_null(clo_cache_text(c, "b", 1, 0, 1, &n));
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "t%d", i);
        clo_cache_put_text(c, key, strlen(key), "0123456789", 10, 1000, 0);
    }
    assert_null(clo_cache_text(c, "t0", 2, 0, 1, &n)); /* pushed out */
    assert_non_null(clo_cache_text(c, "t99", 3, 0, 1, &n));
    clo_cache_free(c);
}

static void
generations(void **state)
{
    clo_cache *c = fresh();
    unsigned before = clo_cache_generation(c);
    (void)state;
    put(c, "a", 1, 10, 10000, 0);
    assert_int_equal(clo_cache_generation(c), before);
    clo_cache_clear(c);
    assert_int_not_equal(clo_cache_generation(c), before);
    clo_cache_free(c);
}

static bool
try_cache(void *arg)
{
    clo_json *j = arg;
    clo_cache *c = clo_cache_new();
    bool all = c != NULL;
    for (int i = 0; c && i < 70; i++) {
        char key[16];
        clo_json *back;
        snprintf(key, sizeof(key), "k%d", i);
        clo_cache_put(c, key, strlen(key), j, 1, 1 << 20, 0);
        back = clo_cache_get(c, key, strlen(key), 0, 1);
        all = all && back;
        clo_json_free(back);
    }
    clo_cache_free(c);
    return all;
}

static void
out_of_memory(void **state)
{
    clo_json *j = doc(1);
    (void)state;
    oom_loop(try_cache, j);
    clo_json_free(j);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finding),
        cmocka_unit_test(age),
        cmocka_unit_test(bounds),
        cmocka_unit_test(many),
        cmocka_unit_test(readers_outlive_entries),
        cmocka_unit_test(texts),
        cmocka_unit_test(generations),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
