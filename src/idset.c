/*
 * idset.c - a set of ids, for "each id once".
 *
 * Kept are 128-bit hashes, not the ids: 100,000 rows cost 4 MiB instead of the 10 and more that
 * the texts and their headers would. Two different ids fall together with a chance of about
 * n*n / 2^129, which for a billion rows is below one in 10^20; memory errors are likelier.
 *
 * The table is open-addressed with linear probing, a power of two large, and at most three quarters
 * full. An entry of two zero words is a free place; a hash never has that form.
 *
 * Rejected: a Bloom filter (a false hit would drop a row); a sorted array (inserting is quadratic
 * on lists that come in no order).
 */
#include "scan.h"

#include <string.h>

static uint64_t
mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

/* Two lanes over 8-byte words, each with its own multiplier, so that they fail independently. */
static void
hash(const char *s, size_t n, uint64_t h[2])
{
    uint64_t a = 0x9e3779b97f4a7c15u ^ n, b = 0xc2b2ae3d27d4eb4fu + n;

    while (n > 0) {
        size_t take = n < 8 ? n : 8;
        uint64_t w = 0;

        memcpy(&w, s, take);
        a = mix(a ^ w) * 0x9fb21c651e98df25u;
        b = mix(b + w) + (a << 31 | a >> 33);
        s += take;
        n -= take;
    }
    h[0] = mix(a);
    h[1] = mix(b ^ a) | 1;
}

/* The entry of this hash, or the free place where it belongs. */
static size_t
place_of(const clo_idset *set, const uint64_t h[2])
{
    size_t i = (size_t)h[0] & (set->cap - 1);

    while (set->slots[i].w[1] != 0 && (set->slots[i].w[0] != h[0] || set->slots[i].w[1] != h[1]))
        i = (i + 1) & (set->cap - 1);
    return i;
}

static bool
enlarge(clo_idset *set)
{
    clo_idset bigger = {NULL, set->cap > 0 ? set->cap * 2 : 64, set->n};

    bigger.slots = clo_calloc(bigger.cap, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < set->cap; i++)
        if (set->slots[i].w[1] != 0)
            bigger.slots[place_of(&bigger, set->slots[i].w)] = set->slots[i];
    clo_free(set->slots);
    *set = bigger;
    return true;
}

clo_idset_result
clo_idset_add(clo_idset *set, const char *id, size_t len)
{
    uint64_t h[2];
    size_t i;

    if (set->n + 1 > set->cap / 4 * 3 && !enlarge(set))
        return CLO_IDSET_NOMEM;
    hash(id, len, h);
    i = place_of(set, h);
    if (set->slots[i].w[1] != 0)
        return CLO_IDSET_OLD;
    memcpy(set->slots[i].w, h, sizeof h);
    set->n++;
    return CLO_IDSET_NEW;
}

bool
clo_idset_has(const clo_idset *set, const char *id, size_t len)
{
    uint64_t h[2];

    if (set->n == 0)
        return false;
    hash(id, len, h);
    return set->slots[place_of(set, h)].w[1] != 0;
}

void
clo_idset_free(clo_idset *set)
{
    clo_free(set->slots);
    memset(set, 0, sizeof *set);
}
