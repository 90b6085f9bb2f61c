/*
 * base_test.h - what the unit tests of the core's base share: cmocka, and memory that runs out.
 */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clo_int.h"

#include <string.h>

/* cmocka 2 has two successors of assert_in_range, cmocka 1 neither. */
#define assert_between(value, low, high)                                                           \
    do {                                                                                           \
        int64_t value_ = (int64_t)(value);                                                         \
                                                                                                   \
        if (value_ < (low) || value_ > (high))                                                     \
            fail_msg("%s is %lld", #value, (long long)value_);                                     \
    } while (0)

/* One try of something that allocates: true when it succeeded. It checks its own error, and releases
 * what it had. */
typedef bool (*oom_try)(void *arg);

/* Fails the first, the second, ... allocation until a try ends before the failing one comes, once alone
 * and once with every later one failing too. Nothing may be left behind. A try may get through in
 * spite of a failure. In builds without fault injection it has to succeed at once. */
static inline void
oom_loop(oom_try attempt, void *arg)
{
#ifdef CLO_DEBUG
    int stays;

    for (stays = 0; stays < 2; stays++) {
        bool reached = true;
        long n, failed = 0;

        for (n = 1; reached && n < 10000; n++) {
            long before = clo_mem_live();
            bool ok;

            clo_mem_fail(n, stays);
            ok = attempt(arg);
            /* When failing goes on, one is left both before and after the failure: try one more. */
            reached = clo_mem_fail(0, false) <= stays;
            failed += !ok;
            assert_true(ok || reached);
            assert_int_equal(clo_mem_live(), before);
        }
        assert_false(reached);
        assert_true(failed > 0);
    }
#else
    assert_true(attempt(arg));
#endif
}

static inline int
no_blocks_left(void **state)
{
    (void)state;
    return clo_mem_live() == 0 ? 0 : -1;
}

#endif
