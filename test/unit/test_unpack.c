/*
 * Tests of unpack.c: whole members, several of them, every way of being damaged, the maximum, and running
 * out of memory. Where the build has no libdeflate there is nothing to unpack with, and they are skipped.
 */
#include "clo_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base_test.h"

#define LONG 5000

static const char small_text[] = "{\"data\":{\"n\":1}}";
static const unsigned char small[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
                                      0x03, 0xab, 0x56, 0x4a, 0x49, 0x2c, 0x49, 0x54, 0xb2,
                                      0xaa, 0x56, 0xca, 0x53, 0xb2, 0x32, 0xac, 0xad, 0x05,
                                      0x00, 0xa0, 0x1f, 0x0d, 0x67, 0x10, 0x00, 0x00, 0x00};
/* LONG times the letter a */
static const unsigned char large[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01,
    0x00, 0x00, 0x00, 0xc2, 0xa0, 0xac, 0xeb, 0x5f, 0xc2, 0x14, 0x7e, 0x40, 0x01, 0x00,
    0x00, 0x00, 0x00, 0x6f, 0x03, 0x76, 0x59, 0xf4, 0x4c, 0x88, 0x13, 0x00, 0x00};

static clo_code
unpack(clo_buf *b, const void *p, size_t n, size_t max)
{
    clo_buf_init(b, max);
    if (!clo_buf_add(b, p, n))
        return b->error;
    return clo_unpack(b);
}

static void
refused(const void *p, size_t n, size_t max, clo_code code)
{
    clo_buf b;

    assert_int_equal(unpack(&b, p, n, max), code);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
}

static void
test_whole(void **state)
{
    clo_buf b;

    (void)state;
    assert_int_equal(unpack(&b, small, sizeof small, 4096), CLO_E_NONE);
    assert_int_equal(b.len, strlen(small_text));
    assert_string_equal(b.data, small_text);
    assert_true(clo_buf_str(&b, "!")); /* what it leaves is an ordinary buffer */
    assert_int_equal(b.len, strlen(small_text) + 1);
    assert_int_equal(b.data[b.len - 1], '!');
    clo_buf_free(&b);
    assert_int_equal(unpack(&b, large, sizeof large, LONG), CLO_E_NONE);
    assert_int_equal(b.len, LONG);
    assert_int_equal(strspn(b.data, "a"), LONG);
    clo_buf_free(&b);
    assert_int_equal(unpack(&b, "", 0, 10), CLO_E_NONE); /* no body at all */
    assert_int_equal(b.len, 0);
    clo_buf_free(&b);
}

/* The size in the last member says nothing about the first: the memory has to grow. */
static void
test_members(void **state)
{
    unsigned char both[sizeof large + sizeof small];
    clo_buf b;

    (void)state;
    memcpy(both, large, sizeof large);
    memcpy(both + sizeof large, small, sizeof small);
    assert_int_equal(unpack(&b, both, sizeof both, 1 << 20), CLO_E_NONE);
    assert_int_equal(b.len, LONG + strlen(small_text));
    assert_int_equal(strspn(b.data, "a"), LONG);
    assert_string_equal(b.data + LONG, small_text);
    clo_buf_free(&b);
    refused(both, sizeof both, LONG + strlen(small_text) - 1, CLO_E_LIMIT);
    refused(both, sizeof both - 1, 1 << 20, CLO_E_PROTO);
}

static void
test_damaged(void **state)
{
    unsigned char bad[sizeof small + 1];

    (void)state;
    for (size_t n = 1; n < sizeof small; n++)
        refused(small, n, 4096, CLO_E_PROTO);
    for (size_t i = sizeof small - 8; i < sizeof small; i++) { /* checksum and length */
        memcpy(bad, small, sizeof small);
        bad[i] ^= 1;
        refused(bad, sizeof small, 4096, CLO_E_PROTO);
    }
    memcpy(bad, small, sizeof small);
    bad[sizeof small] = 'x';
    refused(bad, sizeof bad, 4096, CLO_E_PROTO);
    refused("hello", 5, 4096, CLO_E_PROTO);
    /* A length that only a bomb could have: refused for being wrong, and never allocated. */
    memcpy(bad, small, sizeof small);
    memset(bad + sizeof small - 4, 0xff, 4);
    refused(bad, sizeof small, SIZE_MAX / 2, CLO_E_PROTO);
}

static void
test_maximum(void **state)
{
    (void)state;
    refused(large, sizeof large, LONG - 1, CLO_E_LIMIT);
    refused(large, sizeof large, sizeof large, CLO_E_LIMIT);
}

static bool
try_unpack(void *arg)
{
    clo_buf b;
    clo_code code = unpack(&b, large, sizeof large, 1 << 20);

    (void)arg;
    assert_true(code == CLO_E_NONE || code == CLO_E_NOMEM);
    clo_buf_free(&b);
    return code == CLO_E_NONE;
}

static void
test_oom(void **state)
{
    (void)state;
    oom_loop(try_unpack, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),   cmocka_unit_test(test_members),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_oom),
    };

    if (!clo_unpack_here()) {
        print_message("skipped: this build leaves unpacking to libcurl\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, no_blocks_left);
}
