/*
 * limit.c - a limiter that learns how many requests a second the service allows.
 *
 * Nobody publishes the limits: Close counts per endpoint group and account, Scalekit per
 * environment, and neither says how much. So nothing is held back until the service shows a limit;
 * then every user of it who shares the table keeps just below. What a bucket is, its key says;
 * scalekit.c asks for one bucket per environment and one per endpoint group of an account. Should
 * the service count otherwise, buckets that share a limit meet it together and settle together.
 *
 * How a limit shows, and what is done about it
 *  - A refusal (429). Until the pause that it asks for is over, nothing is sent. The requests that
 *    went through before it, over the time until the pause ends, tell the rate that was allowed;
 *    from then on requests are spaced evenly. The pace is a function of the time since the cut:
 *    first back to just below the rate that broke, then level, then slowly faster, quicker
 *    the longer all goes well (rates change, and the first estimate is rough). Refusals of requests that left
 *    before the cut are part of the same event and only lengthen the pause. A refusal of the very
 *    first request after a pause says more about the pause than about the pace.
 *  - RateLimit headers on any answer. While more than half of what a window allows is left,
 *    nothing is held back; below that, what is left is spread over the time until the reset. Requests
 *    that left after the one which was answered are taken off first, since the service may not
 *    have counted them. The hint ends with its window.
 * Without either, ten minutes after the last cut, a bucket is forgotten.
 *
 * Asking never blocks and never reserves: the answer is a moment before which it makes no sense to
 * ask again, and the caller waits with whatever it has to wait for besides. So an interrupt, a time
 * limit or a crash while waiting leaves nothing behind, and when the pace changes, those who wait see
 * the new one at once. Turns are given to who asks first after that moment.
 *
 * Memory. A fixed table of cache lines, each a bucket; a bucket lives in one of the lines of its set, and
 * the one used longest ago makes room. No pointers: the table works at any address, in memory that
 * processes share, and all zero is the empty one. Every number is one atomic word of its own, valid with
 * any value of the others, so that a process may die between any two writes, and updates that race may
 * get lost, without harm beyond a few requests too many or too late. Each word carries 16 bits of the
 * key: what the bucket before it left behind, or a late writer of it leaves, reads as nothing.
 * Therefore relaxed order is enough: no word vouches for another one.
 *
 * Time is CLOCK_MONOTONIC, which on Linux is the same in all processes of one boot. A time that no
 * correct writer can have left (another boot's, another time namespace's) reads as nothing.
 *
 * The table of the process is the one mutable object of static life in the core: the connections of
 * a process share the limit without knowing each other, and have no other place to meet. A host may give
 * another memory (PostgreSQL: shared between backends).
 *
 * Rejected: a token bucket per client (each would take the whole rate); reserved turns (what a pause or
 * a slower pace must move would be scattered over the processes); a mutex (who dies holding it stops all);
 * the numbers in the body of Close's 429 (deprecated since 2024).
 */
#include "clo_int.h"

#include <stdatomic.h>

#define WAYS 4
#define SETS (CLO_LIMITS_BYTES / 64 / WAYS)

#define SECOND 1000000.0 /* microseconds */
#define PAUSE_MAX_US INT64_C(30000000)
#define HINT_MAX_US INT64_C(86400000000)
#define FORGET_US INT64_C(600000000)
#define LATE_US 25000         /* a turn may be taken so late without moving the ones after it */
#define IDLE_US 1000000       /* without a request for so long: counting begins anew */
#define COUNT_MAX_US 10000000 /* and after so long in any case, lest old calm hide a burst */

/* The pace, in seconds since the cut. */
#define BACK_UP 2.0
#define LEVEL 10.0
#define STRETCH 30.0 /* seconds beyond LEVEL after which it has doubled */
#define SEARCH 4.0   /* with no known ceiling: seconds in which the first pace grows fourfold */

typedef struct bucket {
    _Atomic uint64_t key;
    _Atomic uint64_t turn;  /* when the last request left, or could have left at this pace */
    _Atomic uint64_t count; /* requests that left since `since` */
    _Atomic uint64_t since; /* begin of counting and of the pace; in the future: the pause's end */
    _Atomic uint64_t pace;  /* two intervals: at the cut, and at the rate that broke (0: unknown) */
    _Atomic uint64_t cut;   /* when the pace was last made slower */
    _Atomic uint64_t quota; /* interval that spreads what a header left over */
    _Atomic uint64_t quota_until;
} bucket;

struct clo_limits {
    _Alignas(64) bucket sets[SETS][WAYS];
};

_Static_assert(sizeof(bucket) == 64, "a bucket is a cache line");
_Static_assert(sizeof(clo_limits) == CLO_LIMITS_BYTES, "hosts allocate by this number");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a word is one access, also between processes");

static clo_limits of_this_process;

clo_limits *
clo_limits_process(void)
{
    return &of_this_process;
}

/* ---- words ---------------------------------------------------------------------------------- */

#define VALUE_BITS 48
#define VALUE_MASK ((UINT64_C(1) << VALUE_BITS) - 1) /* as microseconds: nine years */
#define HALF_MASK ((UINT64_C(1) << VALUE_BITS / 2) - 1)

static uint64_t
load(_Atomic uint64_t *w)
{
    return atomic_load_explicit(w, memory_order_relaxed);
}

/* What a word says if it is this key's, else 0. */
static int64_t
value_of(uint64_t word, uint64_t key)
{
    return (word ^ key) >> VALUE_BITS == 0 ? (int64_t)(word & VALUE_MASK) : 0;
}

static uint64_t
word_of(int64_t value, uint64_t key)
{
    return (key & ~VALUE_MASK) | ((uint64_t)value & VALUE_MASK);
}

static int64_t
get(_Atomic uint64_t *w, uint64_t key)
{
    return value_of(load(w), key);
}

static void
put(_Atomic uint64_t *w, uint64_t key, int64_t value)
{
    atomic_store_explicit(w, word_of(value, key), memory_order_relaxed);
}

static bool
swap(_Atomic uint64_t *w, uint64_t *old, uint64_t new)
{
    return atomic_compare_exchange_strong_explicit(w, old, new, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* A moment that lies at most `ahead` in the future; anything else was no moment of this clock. */
static int64_t
moment(_Atomic uint64_t *w, uint64_t key, int64_t now, int64_t ahead)
{
    int64_t at = get(w, key);
    return at <= now + ahead ? at : 0;
}

/* ---- finding a bucket ------------------------------------------------------------------------- */

uint64_t
clo_limit_key(const char *const *parts, size_t n)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *s = (const unsigned char *)parts[i];
        do /* the terminator counts, so that parts cannot run into each other */
            h = (h ^ *s) * UINT64_C(1099511628211);
        while (*s++);
    }
    h ^= h >> 32; /* FNV leaves little of the last bytes in the upper half */
    h *= UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
    return h ? h : 1;
}

static bucket *
set_of(clo_limits *l, uint64_t key)
{
    return l->sets[(key >> 40) % SETS]; /* the upper bits are the best, and the tag has the first */
}

static bucket *
find(clo_limits *l, uint64_t key)
{
    bucket *set = set_of(l, key);
    for (int i = 0; i < WAYS; i++)
        if (load(&set[i].key) == key)
            return &set[i];
    return NULL;
}

/* The bucket of the set that was used longest ago, or never. */
static bucket *
victim(bucket *set, uint64_t *owner)
{
    bucket *oldest = NULL;
    int64_t when = 0;
    for (int i = 0; i < WAYS; i++) {
        uint64_t key = load(&set[i].key);
        int64_t at = key ? get(&set[i].turn, key) : -1;
        if (oldest && at >= when)
            continue;
        oldest = &set[i];
        *owner = key;
        when = at;
    }
    return oldest;
}

/* Found, or made in the place of another one. NULL: others were quicker again and again; then this
 * request goes without. */
static bucket *
find_or_make(clo_limits *l, uint64_t key)
{
    bucket *b = find(l, key);
    for (int tries = 0; !b && tries < WAYS; tries++) {
        uint64_t owner;
        bucket *v = victim(set_of(l, key), &owner);
        b = swap(&v->key, &owner, key) ? v : find(l, key);
    }
    return b;
}

/* ---- the pace --------------------------------------------------------------------------------- */

static double
rate_of(int64_t interval)
{
    return interval > 0 ? SECOND / (double)interval : 0;
}

static int64_t
interval_of(double rate)
{
    double us = SECOND / rate;
    return us < 1 ? 1 : us > (double)HALF_MASK ? (int64_t)HALF_MASK : (int64_t)us;
}

/* Requests a second so long after the cut. `broke` 0: not known where it breaks. */
static double
pace_at(double floor, double broke, double seconds)
{
    double level = 0.95 * broke, more = (seconds - LEVEL) / STRETCH;
    if (seconds < 0)
        seconds = 0;
    if (broke <= 0)
        return floor * (1 + seconds / SEARCH) * (1 + seconds / SEARCH);
    if (seconds < BACK_UP)
        return floor + (level - floor) * (seconds / BACK_UP);
    return seconds < LEVEL ? level : level * (1 + more * more);
}

/* What refusals taught, in requests a second; 0: nothing, or it is too long ago. */
static double
learnt_rate(bucket *b, uint64_t key, int64_t now)
{
    int64_t pace = get(&b->pace, key), since = moment(&b->since, key, now, PAUSE_MAX_US);
    double floor = rate_of(pace >> VALUE_BITS / 2);
    if (pace == 0 || since == 0 || now - since > FORGET_US)
        return 0;
    return pace_at(floor, rate_of(pace & (int64_t)HALF_MASK), (double)(now - since) / SECOND);
}

static void
learn(bucket *b, uint64_t key, double floor, double broke)
{
    int64_t ceiling = broke > 0 ? interval_of(broke) : 0;
    put(&b->pace, key, interval_of(floor) << VALUE_BITS / 2 | ceiling);
}

/* When the next request may leave, given when the last one did; not later than `now`: at once. */
static int64_t
next_turn(bucket *b, uint64_t key, int64_t now, int64_t last)
{
    double rate = learnt_rate(b, key, now);
    int64_t since = moment(&b->since, key, now, PAUSE_MAX_US);
    int64_t until = moment(&b->quota_until, key, now, HINT_MAX_US), at = now;
    if (since > now)
        return since;
    if (last > now) /* read from the clock a little later than ours, or from another one */
        last = last - now < IDLE_US ? now : 0;
    if (last <= 0)
        return now;
    if (until > now) { /* a new window needs no waiting */
        int64_t spread = last + get(&b->quota, key) % (PAUSE_MAX_US + 1);
        at = spread < until ? spread : until;
    }
    if (rate > 0 && at < last + interval_of(rate))
        at = last + interval_of(rate);
    return at;
}

/* Requests a second that may leave now; 0: as many as you like. */
static double
present_rate(bucket *b, uint64_t key, int64_t now)
{
    double rate = learnt_rate(b, key, now), hinted = 0;
    if (now < moment(&b->quota_until, key, now, HINT_MAX_US))
        hinted = rate_of(get(&b->quota, key));
    return rate > 0 && (hinted <= 0 || rate < hinted) ? rate : hinted;
}

int64_t
clo_limit_ready(clo_limits *l, uint64_t key, int64_t now)
{
    bucket *b = find(l, key);
    if (!b)
        return now;
    return next_turn(b, key, now, get(&b->turn, key));
}

double
clo_limit_rate(clo_limits *l, uint64_t key, int64_t now)
{
    bucket *b = find(l, key);
    return b ? present_rate(b, key, now) : 0;
}

/* ---- leaving ---------------------------------------------------------------------------------- */

/* Counts one more; its number since counting began. */
static int64_t
count_one(bucket *b, uint64_t key, bool anew)
{
    uint64_t old = load(&b->count), new;
    do
        new = word_of((anew ? 0 : value_of(old, key)) + 1, key);
    while (!swap(&b->count, &old, new));
    return value_of(new, key);
}

/* While nothing is known, what is counted is the present burst. */
static bool
begins_anew(bucket *b, uint64_t key, int64_t now, int64_t last)
{
    int64_t since = moment(&b->since, key, now, PAUSE_MAX_US);
    return learnt_rate(b, key, now) <= 0 && since <= now &&
           (now - last > IDLE_US || now - since > COUNT_MAX_US);
}

int64_t
clo_limit_take(clo_limits *l, uint64_t key, int64_t now, int64_t *number)
{
    bucket *b = find_or_make(l, key);
    uint64_t old;
    int64_t last, turn;
    bool anew;
    *number = 0;
    if (!b)
        return now;
    old = load(&b->turn);
    do {
        last = value_of(old, key);
        turn = next_turn(b, key, now, last);
        if (turn > now)
            return turn;
        if (turn < now - LATE_US)
            turn = now - LATE_US;
    } while (!swap(&b->turn, &old, word_of(turn, key)));
    anew = begins_anew(b, key, now, last);
    if (anew)
        put(&b->since, key, now);
    *number = count_one(b, key, anew);
    return now;
}

/* ---- learning --------------------------------------------------------------------------------- */

/* Holds everybody back; counting and the pace begin again when the pause ends. */
static void
pause_until(bucket *b, uint64_t key, int64_t now, int64_t until)
{
    uint64_t old = load(&b->since);
    do {
        int64_t since = value_of(old, key);
        if (since >= until && since <= now + PAUSE_MAX_US)
            return;
    } while (!swap(&b->since, &old, word_of(until, key)));
    put(&b->count, key, 0);
}

/* The rate that the service allowed between `since` and the end of the pause, in which `passed`
 * requests got through. Whole seconds are rounded up by who says them: half of one is the mean error. */
static double
allowed(int64_t passed, int64_t since, int64_t now, int64_t pause)
{
    double seconds = (double)(now - since + pause) / SECOND;
    if (pause >= 1000000 && pause % 1000000 == 0)
        seconds -= 0.5;
    return (double)(passed > 0 ? passed : 1) / (seconds > 0.001 ? seconds : 0.001);
}

/* The cut. The shorter the last one held, the less the pace then was worth, and the more counts what got
 * through; after a long time the rate that broke is just what it was. When others began counting anew
 * since the request left, what got through is not known. */
static void
slow_down(bucket *b, uint64_t key, const clo_limit_refusal *r, int64_t now, int64_t since)
{
    int64_t passed = r->number - 1, counted = get(&b->count, key);
    double was = learnt_rate(b, key, r->left_us), rate = 0, low;
    double held = (double)(r->left_us - since) / SECOND;
    /* In a first burst requests overtake each other, and which one is refused says little. */
    if (was <= 0 && passed < counted / 2)
        passed = counted / 2;
    if (since <= r->left_us)
        rate = allowed(passed, since, now, r->pause_us);
    if (was <= 0) {
        learn(b, key, rate > 0 ? 0.9 * rate : SECOND / (double)(r->pause_us + 1), 0);
        return;
    }
    low = held > 2 * BACK_UP ? 0.98 : passed < 1 ? 0.9 : held > 1 ? 0.85 : 0.8;
    if (rate < low * was)
        rate = low * was;
    if (rate > 0.98 * was)
        rate = 0.98 * was;
    learn(b, key, 0.85 * rate, rate);
}

void
clo_limit_refused(clo_limits *l, uint64_t key, const clo_limit_refusal *r, int64_t now)
{
    bucket *b = find_or_make(l, key);
    int64_t pause = r->pause_us < PAUSE_MAX_US ? r->pause_us : PAUSE_MAX_US;
    int64_t since, cut;
    uint64_t old;
    if (!b)
        return;
    old = load(&b->cut);
    cut = value_of(old, key) <= now ? value_of(old, key) : 0;
    since = moment(&b->since, key, now, PAUSE_MAX_US);
    /* Who wins the word has seen this event first; for the others it has happened already. */
    if (r->left_us > cut && swap(&b->cut, &old, word_of(now, key)))
        slow_down(b, key, r, now, since);
    pause_until(b, key, now, now + (pause > 0 ? pause : 0));
}

void
clo_limit_hint(clo_limits *l, uint64_t key, const clo_limit_header *h, int64_t now)
{
    bucket *b = find(l, key);
    int64_t later, left, spread;
    if (!b || h->remaining < 0 || h->reset_us <= 0 || h->reset_us > HINT_MAX_US)
        return;
    later = get(&b->count, key) - h->number;
    left = h->remaining - (later > 0 && h->number > 0 ? later : 0);
    if (h->limit > 0 && left > h->limit / 2) {
        put(&b->quota_until, key, 0);
        return;
    }
    /* The last one leaves well before the reset; after it nothing does until then. */
    spread = left > 0 ? h->reset_us / (left + 1) : PAUSE_MAX_US;
    put(&b->quota, key, spread < PAUSE_MAX_US ? spread : PAUSE_MAX_US);
    put(&b->quota_until, key, now + h->reset_us);
}
