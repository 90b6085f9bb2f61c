/*
 * Tests of limit.c against simulated services, on a simulated clock: how soon a client settles below a
 * limit that it is not told, how many refusals that costs and how much of the rate it uses. Then the
 * table itself: processes that share it, several that write at once, contents that make no sense.
 */
#include "base_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS INT64_C(1000)
#define SEC INT64_C(1000000)
#define START (INT64_C(5000) * SEC)

/* ---- a service and its clients ------------------------------------------------------------------ */

typedef enum says { SAYS_EXACT, SAYS_SECONDS, SAYS_NOTHING } says;

typedef struct world {
    /* The service: `limit` requests in each window that begins with a multiple of `window` (or, as a
     * bucket that refills, at most `limit` at once and `limit` per window). */
    int64_t limit, window;
    bool refills;
    says pause;   /* what a refusal says about it */
    bool headers; /* RateLimit on each answer */
    int64_t used, window_at;
    double tokens;
    int64_t tokens_at;
    /* Its clients: connections of so many tables, each with one request at a time. */
    int connections;
    int64_t latency;
    clo_limits *limits;
    uint64_t key;
    /* What happened. */
    int64_t passed, refused, events, last_event;
} world;

typedef struct connection {
    int64_t left, number, arrives, answered, retry_at; /* 0: not under way */
    bool accepted;
    int64_t pause, remaining, reset;
} connection;

static int64_t
window_rest(const world *w, int64_t now)
{
    return w->window - now % w->window;
}

static bool
serve(world *w, connection *c, int64_t now)
{
    bool fine;
    if (w->refills) {
        w->tokens += (double)(now - w->tokens_at) * (double)w->limit / (double)w->window;
        w->tokens = w->tokens > (double)w->limit ? (double)w->limit : w->tokens;
        w->tokens_at = now;
        fine = w->tokens >= 1;
        w->tokens -= fine;
        c->remaining = (int64_t)w->tokens;
        c->reset = (int64_t)(((double)w->limit - w->tokens) * (double)w->window / (double)w->limit);
        c->pause = w->window / w->limit;
    } else {
        if (now / w->window != w->window_at)
            w->used = 0;
        w->window_at = now / w->window;
        fine = w->used < w->limit;
        w->used += fine;
        c->remaining = w->limit - w->used;
        c->reset = c->pause = window_rest(w, now);
    }
    if (w->pause == SAYS_SECONDS)
        c->pause = (c->pause + SEC - 1) / SEC * SEC;
    else if (w->pause == SAYS_NOTHING)
        c->pause = 250 * MS;
    return fine;
}

static void
answer(world *w, connection *c, int64_t now)
{
    if (c->accepted) {
        clo_limit_header h = {c->number, w->limit, c->remaining, c->reset};
        w->passed++;
        if (w->headers)
            clo_limit_hint(w->limits, w->key, &h, now);
    } else {
        clo_limit_refusal r = {c->number, c->left, c->pause};
        w->refused++;
        if (now - w->last_event > w->latency * 2) {
            w->events++;
            w->last_event = now;
        }
        clo_limit_refused(w->limits, w->key, &r, now);
        c->retry_at = now + c->pause;
    }
    c->left = 0;
}

static void
leave(world *w, connection *c, int64_t now)
{
    if (now < c->retry_at || clo_limit_ready(w->limits, w->key, now) > now ||
        clo_limit_take(w->limits, w->key, now, &c->number) > now)
        return;
    c->left = now;
    c->arrives = now + w->latency / 2;
    c->answered = now + w->latency;
    c->accepted = false;
    c->retry_at = 0;
}

/* Everybody has something to ask all the time, for so long. */
static void
busy(world *w, int64_t *clock, int64_t span)
{
    static connection all[64];
    memset(all, 0, sizeof(all));
    w->passed = w->refused = w->events = w->last_event = 0;
    for (int64_t end = *clock + span; *clock < end; *clock += MS)
        for (int i = 0; i < w->connections; i++) {
            connection *c = &all[(i + *clock / MS) % w->connections];
            if (c->left && c->arrives > 0 && *clock >= c->arrives) {
                c->accepted = serve(w, c, *clock);
                c->arrives = 0;
            }
            if (c->left && *clock >= c->answered)
                answer(w, c, *clock);
            if (!c->left)
                leave(w, c, *clock);
        }
}

static clo_limits *
table(void)
{
    static clo_limits *t;
    if (!t)
        t = mmap(NULL, CLO_LIMITS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(t, MAP_FAILED);
    memset(t, 0, CLO_LIMITS_BYTES);
    return t;
}

static uint64_t
key_of(const char *name)
{
    const char *parts[] = {"https://x.example", name};
    return clo_limit_key(parts, 2);
}

/* ---- settling ----------------------------------------------------------------------------------- */

static world
world_of(int64_t limit, int64_t latency_ms, int connections)
{
    world w = {.limit = limit,
               .window = SEC,
               .connections = connections,
               .latency = latency_ms * MS,
               .limits = table(),
               .key = key_of("a"),
               .tokens = (double)limit,
               .tokens_at = START};
    return w;
}

/* Share of what the service and the connections allow that was used, in percent. */
static int
used(const world *w, int64_t span)
{
    double allowed = (double)w->limit / (double)w->window;
    double able = (double)w->connections / (double)w->latency;
    return (int)(100 * (double)w->passed / (double)span / (able < allowed ? able : allowed));
}

static void
check(const world *w, const char *when, int64_t span, int least, int64_t events, int64_t refused)
{
    if (used(w, span) < least || w->events > events || w->refused > refused)
        fail_msg("%s: limit %d, %s, latency %d ms, %d connections, pause %d, headers %d: %d %%, "
                 "%d refused in %d events",
                 when, (int)w->limit, w->refills ? "refilled" : "windows", (int)(w->latency / MS),
                 w->connections, (int)w->pause, w->headers, used(w, span), (int)w->refused,
                 (int)w->events);
}

/* Learning costs a dozen events, each a refusal for those just under way; afterwards there is one in ten
 * seconds or more. */
static void
settles_by_refusals(void **state)
{
    static const int limits[] = {5, 20, 200}, latencies[] = {2, 20, 100};
    (void)state;
    for (int kind = 0; kind < 6; kind++)
        for (int i = 0; i < 9; i++)
            for (int n = 1; n <= 32; n *= 32) {
                world w = world_of(limits[i / 3], latencies[i % 3], n);
                int64_t clock = START + 300 * MS;
                w.refills = kind % 2;
                w.pause = (says)(kind / 2);
                busy(&w, &clock, 20 * SEC);
                check(&w, "learning", 20 * SEC, 65, 14, 8 * n + 14);
                busy(&w, &clock, 120 * SEC);
                check(&w, "settled", 120 * SEC, 85, 10, 30 + w.passed / 100);
            }
}

static void
settles_by_headers(void **state)
{
    static const int limits[] = {5, 40, 200}, latencies[] = {2, 20, 100};
    (void)state;
    for (int refills = 0; refills < 2; refills++)
        for (int i = 0; i < 9; i++) {
            int limit = limits[i / 3];
            world w = world_of(limit, latencies[i % 3], limit < 40 ? 1 : 16);
            int64_t clock = START + 300 * MS;
            w.refills = refills;
            w.headers = true;
            busy(&w, &clock, 120 * SEC);
            check(&w, "headers", 120 * SEC, 90, 0, 0);
        }
}

/* Scalekit counts by the minute, and pauses may be longer than those that are obeyed. */
static void
settles_in_minutes(void **state)
{
    world w = world_of(600, 20, 8);
    int64_t clock = START;
    (void)state;
    w.window = 60 * SEC;
    busy(&w, &clock, 300 * SEC);
    check(&w, "learning minutes", 300 * SEC, 75, 20, 60);
    busy(&w, &clock, 600 * SEC);
    check(&w, "minutes", 600 * SEC, 85, 40, 80);
}

static void
follows_changes(void **state)
{
    world w = world_of(40, 20, 8);
    int64_t clock = START;
    (void)state;
    busy(&w, &clock, 20 * SEC);
    w.limit = 8;
    busy(&w, &clock, 10 * SEC);
    check(&w, "lowered", 10 * SEC, 70, 8, 16);
    busy(&w, &clock, 60 * SEC);
    check(&w, "lower", 60 * SEC, 85, 5, 10);
    w.limit = 80;
    busy(&w, &clock, 120 * SEC);
    w.passed = 0;
    busy(&w, &clock, 60 * SEC);
    check(&w, "higher", 60 * SEC, 85, 5, 10);
    assert_true(clo_limit_rate(w.limits, w.key, clock) > 40);
    /* Forgotten when it was long ago. */
    assert_true(clo_limit_rate(w.limits, w.key, clock + 601 * SEC) == 0);
}

static void
no_limit_is_none(void **state)
{
    world w = world_of(1000000000, 1, 64);
    int64_t clock = START, number;
    (void)state;
    busy(&w, &clock, 5 * SEC);
    check(&w, "free", 5 * SEC, 99, 0, 0);
    assert_true(clo_limit_rate(w.limits, w.key, clock) == 0);
    for (int i = 1; i < 100; i++) {
        assert_int_equal(clo_limit_take(w.limits, key_of("b"), clock, &number), clock);
        assert_int_equal(number, i);
    }
    assert_int_equal(clo_limit_ready(w.limits, key_of("never seen"), clock), clock);
}

/* ---- single steps --------------------------------------------------------------------------------- */

static void
a_pause_is_for_all(void **state)
{
    clo_limits *l = table();
    uint64_t key = key_of("a");
    int64_t now = START, number = 0;
    clo_limit_refusal r = {0, START, 2 * SEC};
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(clo_limit_take(l, key, now, &number), now);
    r.number = number;
    clo_limit_refused(l, key, &r, now + MS);
    assert_int_equal(clo_limit_ready(l, key, now + SEC), now + 2 * SEC + MS);
    assert_int_equal(clo_limit_take(l, key, now + SEC, &number), now + 2 * SEC + MS);
    assert_int_equal(number, 0);
    /* Who was refused at the same time adds no second cut, but its pause counts. */
    {
        double before = clo_limit_rate(l, key, now + SEC);
        r.pause_us = 3 * SEC;
        clo_limit_refused(l, key, &r, now + 2 * MS);
        assert_true(clo_limit_rate(l, key, now + SEC) == before);
    }
    now += 3 * SEC + 2 * MS;
    assert_int_equal(clo_limit_ready(l, key, now - 1), now);
    assert_int_equal(clo_limit_take(l, key, now, &number), now);
    assert_int_equal(number, 1);
    assert_true(clo_limit_ready(l, key, now) > now); /* spaced from now on */
    /* The very first one after the pause is refused: it was too short; the pace hardly changes. */
    {
        double before = clo_limit_rate(l, key, now);
        r = (clo_limit_refusal){1, now, SEC};
        clo_limit_refused(l, key, &r, now + MS);
        assert_true(clo_limit_rate(l, key, now + 3 * SEC + MS) > 0.8 * before);
        assert_int_equal(clo_limit_ready(l, key, now + 2 * MS), now + MS + SEC);
    }
    /* No pause is longer than half a minute, whatever is asked. */
    r = (clo_limit_refusal){7, now + 5 * SEC, 3600 * SEC};
    clo_limit_refused(l, key, &r, now + 5 * SEC);
    assert_int_equal(clo_limit_ready(l, key, now + 6 * SEC), now + 35 * SEC);
}

static void
hints(void **state)
{
    static const struct {
        int64_t limit, remaining, reset_us, wait;
    } cases[] = {
        {100, 51, 5 * SEC, 0},         {100, 50, 51 * SEC, SEC}, {-1, 9, 5 * SEC, 500 * MS},
        {100, 0, 5 * SEC, 5 * SEC},    {100, 0, 0, 0},           {100, -1, 5 * SEC, 0},
        {100, 0, 900 * SEC, 30 * SEC}, {100, 10, -1, 0},
    };
    (void)state;
    for (size_t i = 0; i < CLO_ARRAY_LEN(cases); i++) {
        clo_limits *l = table();
        uint64_t key = key_of("a");
        clo_limit_header h = {0, cases[i].limit, cases[i].remaining, cases[i].reset_us};
        assert_int_equal(clo_limit_take(l, key, START, &h.number), START);
        clo_limit_hint(l, key, &h, START);
        if (clo_limit_ready(l, key, START) != START + cases[i].wait)
            fail_msg("case %d: %d", (int)i, (int)(clo_limit_ready(l, key, START) - START));
        /* It ends with its window. */
        assert_int_equal(clo_limit_ready(l, key, START + 900 * SEC), START + 900 * SEC);
    }
}

/* What left after the answered request may not be counted in its header. */
static void
hints_know_what_is_under_way(void **state)
{
    clo_limits *l = table();
    uint64_t key = key_of("a");
    clo_limit_header h = {0, 100, 19, 10 * SEC};
    int64_t first, last = 0;
    (void)state;
    assert_int_equal(clo_limit_take(l, key, START, &first), START);
    for (int i = 0; i < 15; i++)
        assert_int_equal(clo_limit_take(l, key, START, &last), START);
    h.number = first;
    clo_limit_hint(l, key, &h, START);
    assert_int_equal(clo_limit_ready(l, key, START), START + 2 * SEC); /* four are left */
    h.number = last;
    clo_limit_hint(l, key, &h, START);
    assert_int_equal(clo_limit_ready(l, key, START), START + 500 * MS);
}

static void
keys(void **state)
{
    const char *ab_c[] = {"ab", "c"}, *a_bc[] = {"a", "bc"}, *empty[] = {"", ""};
    (void)state;
    assert_true(clo_limit_key(ab_c, 2) != clo_limit_key(a_bc, 2));
    assert_true(clo_limit_key(ab_c, 1) != clo_limit_key(ab_c, 2));
    assert_true(clo_limit_key(empty, 1) != clo_limit_key(empty, 2));
    assert_true(clo_limit_key(empty, 0) != 0);
}

/* Who is used makes those who are not give way, and keeps what it knows. */
static void
eviction(void **state)
{
    clo_limits *l = table();
    uint64_t busy_key = key_of("busy");
    clo_limit_refusal r = {5, START, SEC};
    int64_t now = START + 2 * SEC, number;
    (void)state;
    assert_int_equal(clo_limit_take(l, busy_key, START, &number), START);
    clo_limit_refused(l, busy_key, &r, START);
    for (int i = 0; i < 20000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "k%d", i);
        now += 20 * MS;
        assert_int_equal(clo_limit_take(l, key_of(name), now, &number), now); /* made anew */
        assert_int_equal(number, 1);
        if (i % 8 == 0) {
            if (clo_limit_rate(l, busy_key, now) <= 0)
                fail_msg("forgotten after %d others", i);
            (void)clo_limit_take(l, busy_key, now, &number);
        }
    }
    /* What was pushed out is forgotten: it begins as new. */
    assert_int_equal(clo_limit_take(l, key_of("k0"), now, &number), now);
    assert_int_equal(number, 1);
}

/* ---- damage and company --------------------------------------------------------------------------- */

static uint64_t
dice(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* However the table looks, a request leaves within a minute, and a minute's pace is found again. */
static void
any_contents(void **state)
{
    uint64_t seed = 88172645463325252u, key = key_of("a");
    (void)state;
    for (int round = 0; round < 300; round++) {
        clo_limits *l = table();
        uint64_t *words = (uint64_t *)(void *)l;
        int64_t now = START, number;
        assert_int_equal(clo_limit_take(l, key, now, &number), now);
        for (size_t i = 0; i < CLO_LIMITS_BYTES / 8; i++) {
            uint64_t tag = round % 3 ? key & ~(UINT64_MAX >> 16) : dice(&seed) << 48;
            if (words[i] == key)
                continue;
            words[i] = tag | dice(&seed) >> (16 + dice(&seed) % 48);
        }
        while (clo_limit_take(l, key, now, &number) > now) {
            assert_true(clo_limit_ready(l, key, now) <= now + 62 * SEC);
            now += 100 * MS;
            assert_true(now < START + 65 * SEC);
        }
        for (int i = 0; i < 4; i++) { /* and it can learn */
            clo_limit_refusal r = {10, now, SEC};
            clo_limit_refused(l, key, &r, now);
            now += 62 * SEC;
        }
        assert_true(clo_limit_rate(l, key, now) > 0);
        assert_true(clo_limit_ready(l, key, now) <= now + 62 * SEC);
    }
}

typedef struct shared {
    _Alignas(64) char limits[CLO_LIMITS_BYTES];
    _Atomic int64_t clock, taken;
    _Atomic int failures;
} shared;

static shared *
share(void)
{
    shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(s, MAP_FAILED);
    s->clock = START;
    return s;
}

static void
join_child(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* One process is refused, another one waits; then both take turns at one pace. */
static void
two_processes(void **state)
{
    shared *s = share();
    clo_limits *l = (clo_limits *)(void *)s->limits;
    uint64_t key = key_of("a");
    int64_t span = 1500 * MS, begin, allowed;
    pid_t child = fork();
    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        clo_limit_refusal r = {101, START, SEC};
        int64_t n;
        for (int i = 0; i < 101; i++)
            (void)clo_limit_take(l, key, START, &n);
        clo_limit_refused(l, key, &r, START);
        _exit(0);
    }
    join_child(child);
    begin = START + SEC;
    assert_int_equal(clo_limit_ready(l, key, START), begin);
    assert_true(clo_limit_rate(l, key, begin) > 10);
    s->clock = begin;
    child = fork();
    assert_true(child >= 0);
    for (int64_t now, n; (now = atomic_fetch_add(&s->clock, 20)) < begin + span;)
        if (clo_limit_take(l, key, now, &n) <= now)
            s->taken++;
    if (child == 0)
        _exit(0);
    join_child(child);
    /* The pace grows meanwhile, at most to what it is at the end; a few may catch up. */
    allowed = (int64_t)(clo_limit_rate(l, key, begin + span) * (double)span / (double)SEC);
    assert_true(s->taken <= allowed + 12);
    assert_true(s->taken >= allowed / 2);
    munmap(s, sizeof(*s));
}

static uint64_t
key_in_one_set(uint64_t i)
{
    return (i + 1) << 48 | (i + 1) << 12;
}

/* Everything at once, on more keys than there is room for, as fast as it goes. */
static void
use(shared *s, uint64_t seed)
{
    clo_limits *l = (clo_limits *)(void *)s->limits;
    for (int i = 0; i < 40000; i++) {
        int64_t now = atomic_fetch_add(&s->clock, 50), number;
        uint64_t key = key_in_one_set(dice(&seed) % 6);
        int64_t at = clo_limit_take(l, key, now, &number);
        if (at > now + 62 * SEC)
            s->failures++;
        if (i % 100 == 0) {
            clo_limit_refusal r = {number, now - (int64_t)(dice(&seed) % 1000), MS};
            clo_limit_refused(l, key, &r, now);
        }
        if (i % 30 == 0) {
            clo_limit_header h = {number, 40, (int64_t)(dice(&seed) % 40), 10 * MS};
            clo_limit_hint(l, key, &h, now);
        }
        if (clo_limit_rate(l, key, now) < 0)
            s->failures++;
    }
}

static void *
use_in_thread(void *arg)
{
    static _Atomic uint64_t seeds = 1;
    use(arg, atomic_fetch_add(&seeds, 1) * 7919);
    return NULL;
}

static void
threads(void **state)
{
    shared *s = share();
    pthread_t all[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&all[i], NULL, use_in_thread, s), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(all[i], NULL), 0);
    assert_int_equal(s->failures, 0);
    munmap(s, sizeof(*s));
}

/* A process may be killed at any instruction: the others go on, and the limit is learnt again. */
static void
killed_processes(void **state)
{
    shared *s = share();
    clo_limits *l = (clo_limits *)(void *)s->limits;
    (void)state;
    for (int round = 0; round < 60; round++) {
        pid_t child = fork();
        int status;
        assert_true(child >= 0);
        if (child == 0)
            for (uint64_t seed = (uint64_t)round + 1;; seed += 100)
                use(s, seed);
        for (int64_t from = s->clock; s->clock < from + 200 * MS + round * 7777;)
            usleep(50);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        for (uint64_t i = 0; i < 6; i++) {
            uint64_t key = key_in_one_set(i);
            int64_t now = s->clock, number;
            assert_true(clo_limit_ready(l, key, now) <= now + SEC);
            now += SEC + SEC;
            assert_true(clo_limit_take(l, key, now, &number) <= now + SEC);
        }
        s->clock += 2 * SEC;
    }
    assert_int_equal(s->failures, 0);
    munmap(s, sizeof(*s));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settles_by_refusals),
        cmocka_unit_test(settles_by_headers),
        cmocka_unit_test(settles_in_minutes),
        cmocka_unit_test(follows_changes),
        cmocka_unit_test(no_limit_is_none),
        cmocka_unit_test(a_pause_is_for_all),
        cmocka_unit_test(hints),
        cmocka_unit_test(hints_know_what_is_under_way),
        cmocka_unit_test(keys),
        cmocka_unit_test(eviction),
        cmocka_unit_test(any_contents),
        cmocka_unit_test(two_processes),
        cmocka_unit_test(threads),
        cmocka_unit_test(killed_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
