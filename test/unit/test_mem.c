/* test_mem.c - wrappers, counters, array growth, arena. */
#include "base_test.h"

#include <stdalign.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The compiler must not see the sizes, or it warns about them. */
static volatile size_t huge = SIZE_MAX;

static void
test_sizes(void **state)
{
    void *p, *q;

    (void)state;
    p = clo_malloc(0);
    q = clo_malloc(0);
    assert_non_null(p);
    assert_non_null(q);
    assert_ptr_not_equal(p, q);
    assert_non_null(p = clo_realloc(p, 0));
    clo_free(p);
    clo_free(q);
    assert_null(clo_malloc(huge));
    assert_null(clo_malloc(huge / 2 + 1));
    assert_null(clo_calloc(huge / 2, 3));
    assert_null(clo_calloc(huge, 1));
    p = clo_malloc(8);
    assert_null(clo_realloc(p, huge));
    clo_free(p);
    clo_free(NULL);
}

static void
test_strings(void **state)
{
    char *s;

    (void)state;
    assert_null(clo_strdup(NULL));
    assert_null(clo_strndup(NULL, 3));
    assert_null(clo_strndup("x", huge));
    s = clo_strdup("");
    assert_string_equal(s, "");
    clo_free(s);
    s = clo_strndup("a\0b", 3);
    assert_memory_equal(s, "a\0b", 4);
    clo_free(s);
}

static void
test_grow(void **state)
{
    size_t cap = 0, i;
    uint64_t *a = NULL;

    (void)state;
    for (i = 0; i < 1000; i++) {
        a = clo_grow(a, &cap, i + 1, sizeof *a);
        assert_non_null(a);
        assert_true(cap > i);
        a[i] = i;
    }
    assert_true(cap < 2000);
    for (i = 0; i < 1000; i++)
        assert_int_equal(a[i], i);
    cap = 1000;
    assert_null(clo_grow(a, &cap, huge / 4, sizeof *a));
    assert_int_equal(cap, 1000);
    clo_free(a);
}

static void
test_counter(void **state)
{
#ifdef CLO_DEBUG
    long before = clo_mem_live();
    void *p = clo_malloc(1);

    (void)state;
    assert_int_equal(clo_mem_live(), before + 1);
    p = clo_realloc(p, 100);
    assert_int_equal(clo_mem_live(), before + 1);
    clo_free(p);
    clo_free(NULL);
    assert_int_equal(clo_mem_live(), before);
#else
    void *p = clo_malloc(1);

    (void)state;
    assert_int_equal(clo_mem_live(), 0);
    clo_free(p);
#endif
}

static void
test_faults(void **state)
{
#ifdef CLO_DEBUG
    void *p;

    (void)state;
    clo_mem_fail(2, false);
    assert_non_null(p = clo_malloc(1));
    assert_null(clo_realloc(p, 2));
    assert_non_null(p = clo_realloc(p, 2));
    clo_free(p);
    clo_mem_fail(1, true);
    assert_null(clo_malloc(1));
    assert_null(clo_calloc(1, 1));
    clo_mem_fail(0, false);
    assert_non_null(p = clo_malloc(1));
    clo_free(p);
#else
    (void)state;
    skip();
#endif
}

/* What the environment asked for, seen by a fresh process: bit i is set when allocation i failed. */
static int
failures_by_environment(void)
{
    int bits = 0, i;

    for (i = 0; i < 4; i++) {
        void *p = clo_malloc(1);

        bits |= p ? 0 : 1 << i;
        clo_free(p);
    }
    return bits;
}

static void
test_environment(void **state)
{
#ifdef CLO_DEBUG
    static const struct {
        const char *value;
        int bits;
    } cases[] = {{"1", 1}, {"3", 4}, {"2+", 14}, {"1+", 15}, {"5", 0}, {"", 0}, {"x", 0}, {"0", 0}};
    char self[4096];
    /* Not the link itself: under Valgrind only its text leads to this program. */
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    size_t i;

    (void)state;
    assert_true(n > 0);
    self[n] = '\0';
    for (i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        int status = 0;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            setenv("CLO_TEST_OOM", cases[i].value, 1);
            execl(self, "test_mem", "child", (char *)NULL);
            _exit(99);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), cases[i].bits);
    }
#else
    (void)state;
    skip();
#endif
}

static void
test_arena_pieces(void **state)
{
    clo_arena *a = clo_arena_new();
    char *pieces[2000];
    size_t i, k;

    (void)state;
    assert_non_null(a);
    for (i = 0; i < 2000; i++) {
        size_t n = i * 7 % 331;

        pieces[i] = clo_arena_alloc(a, n);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        memset(pieces[i], (int)(i % 251), n);
    }
    for (i = 0; i < 2000; i++) {
        for (k = 0; k < i * 7 % 331; k++)
            assert_int_equal((unsigned char)pieces[i][k], i % 251);
    }
    assert_null(clo_arena_alloc(a, huge));
    assert_null(clo_arena_alloc(a, huge / 2 - 3));
    assert_null(clo_arena_strndup(a, "x", huge));
    assert_string_equal(clo_arena_strndup(a, "abcdef", 3), "abc");
    clo_arena_free(a);
    clo_arena_free(NULL);
}

/* After a reset the largest block serves again and the rest is gone: no growth from page to page. */
static void
test_arena_reset(void **state)
{
    clo_arena *a = clo_arena_new();
    long settled = 0;
    int page, i;

    (void)state;
    clo_arena_reset(a);
    for (page = 0; page < 20; page++) {
        char *big = clo_arena_alloc(a, 1 << 20);

        assert_non_null(big);
        memset(big, page, 1 << 20);
        for (i = 0; i < 500; i++)
            assert_non_null(clo_arena_alloc(a, 100));
        clo_arena_reset(a);
        if (page == 1)
            settled = clo_mem_live();
        if (page > 1)
            assert_int_equal(clo_mem_live(), settled);
    }
    clo_arena_free(a);
}

static bool
try_arena(void *arg)
{
    clo_arena *a = clo_arena_new();
    bool ok = a && clo_arena_alloc(a, 10) && clo_arena_alloc(a, 10000) &&
              clo_arena_strndup(a, "abc", 3) && clo_arena_alloc(a, 1 << 20);

    (void)arg;
    clo_arena_free(a);
    return ok;
}

static void
test_arena_oom(void **state)
{
    (void)state;
    oom_loop(try_arena, NULL);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_grow),         cmocka_unit_test(test_counter),
        cmocka_unit_test(test_faults),       cmocka_unit_test(test_environment),
        cmocka_unit_test(test_arena_pieces), cmocka_unit_test(test_arena_reset),
        cmocka_unit_test(test_arena_oom),
    };

    (void)argv;
    if (argc > 1)
        return failures_by_environment();

    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
