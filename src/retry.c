/*
 * retry.c - whether and when to try again. Knows no sockets: it is given an error and answers
 * with a delay.
 *
 * Reads are repeated on trouble of the network, on 5xx, on 429, on an unreadable answer that its
 * reporter calls retryable, and once on a time limit (a second one means that the service is too
 * slow for the limit, and the user is waiting). Writes are repeated only when it is certain that
 * nothing was done: nothing was sent, or the service answered 429. Everything else about a write
 * is for a person to decide, see CLO_E_UNCERTAIN.
 *
 * Delays double from 250 ms to 8 s. Half of each is random, so that the calls of one scan, or the
 * connections of one server, do not come back in step. A Retry-After is obeyed instead, never
 * undercut, capped at 30 s, with a little jitter on top. A wait that would end after the budget
 * is not begun: giving up early beats keeping a user waiting for a certain failure.
 *
 * The generator (an xorshift) need not be strong, only different between clients; tests set the
 * seed.
 */
#include "clo_int.h"

#include <time.h>

#define FIRST_DELAY_MS 250
#define LAST_DELAY_MS 8000
#define RETRY_AFTER_MAX_MS 30000
#define RETRY_AFTER_JITTER_MS 250

int64_t
clo_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clo_now_ms(void)
{
    return clo_now_us() / 1000;
}

int64_t
clo_wall_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
clo_retry_init(clo_retry *r, int max, int64_t budget_ms)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    r->attempt = 0;
    r->timeouts = 0;
    r->max = max;
    r->deadline_ms = clo_now_ms() + budget_ms;
    /* The address tells calls apart that start in the same nanosecond tick. */
    r->seed = ((uint64_t)ts.tv_nsec << 20) ^ (uint64_t)ts.tv_sec ^ (uint64_t)(uintptr_t)r;
}

/* 0..span */
static int64_t
jitter(clo_retry *r, int64_t span)
{
    uint64_t x = r->seed ? r->seed : 1;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    r->seed = x;
    return (int64_t)((x >> 11) % ((uint64_t)span + 1));
}

static bool
worth_repeating(clo_retry *r, const clo_err *err, bool writes, clo_sent sent)
{
    if (err->uncertain)
        return false;
    if (err->code == CLO_E_RATE)
        return true;
    if (writes && sent != CLO_SENT_NO)
        return false;
    switch (err->code) {
    case CLO_E_NET:
        return true;
    case CLO_E_TIMEOUT:
        return ++r->timeouts == 1;
    case CLO_E_REMOTE:
        return !writes && err->http_status != 501; /* "not implemented" stays so */
    case CLO_E_PROTO:
        return !writes && err->retryable;
    default:
        return false;
    }
}

static int64_t
delay_for(clo_retry *r, const clo_err *err)
{
    int64_t delay = FIRST_DELAY_MS;
    int i;

    if (err->retry_after_ms > 0) {
        delay = err->retry_after_ms < RETRY_AFTER_MAX_MS ? err->retry_after_ms : RETRY_AFTER_MAX_MS;
        return delay + jitter(r, RETRY_AFTER_JITTER_MS);
    }
    for (i = 1; i < r->attempt && delay < LAST_DELAY_MS; i++)
        delay *= 2;
    if (delay > LAST_DELAY_MS)
        delay = LAST_DELAY_MS;
    return delay / 2 + jitter(r, delay - delay / 2);
}

int64_t
clo_retry_next(clo_retry *r, const clo_err *err, bool writes, clo_sent sent)
{
    int64_t delay;

    r->attempt++;
    if (r->attempt > r->max || !worth_repeating(r, err, writes, sent))
        return -1;
    delay = delay_for(r, err);
    return clo_now_ms() + delay > r->deadline_ms ? -1 : delay;
}
