/*
 * view.h - documents that are read in place (view.c, escape.c), for json.c alone. Everybody else sees a
 * clo_json and cannot tell. The two read strings by the same step.
 */
#ifndef CLO_VIEW_H
#define CLO_VIEW_H

#include "clo_int.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* One value, or the name of a member. The name comes right before its value. */
typedef struct clo_node {
    uint32_t at, len; /* in the text: of a string without its quotes */
    uint32_t skip;    /* nodes to the next sibling; of a string with escapes: where it is decoded */
    uint32_t meta;    /* kind, plain, and the node's own index */
} clo_node;

/* Reads one document whose root is an object. Takes over `text` (from clo_malloc, with a NUL at
 * text[len]). NULL: not taken over, because it is no such document, memory is short, or something in it
 * is rare enough to be left to json-c. */
const clo_node *clo_view_new(char *text, size_t len);
void clo_view_ref(const clo_node *n);
void clo_view_unref(const clo_node *n);
size_t clo_view_bytes(const clo_node *n); /* memory of the whole document */
bool clo_view_clean(const clo_node *n);   /* all of it UTF-8 without U+0000 */

clo_json_kind clo_view_kind(const clo_node *n);
size_t clo_view_len(const clo_node *n);
/* The value of a member or element; NULL: there is none. */
const clo_node *clo_view_get(const clo_node *obj, const char *key);
const clo_node *clo_view_at(const clo_node *arr, size_t i);
const char *clo_view_str(const clo_node *n, size_t *len); /* a string, or a name */
int64_t clo_view_int(const clo_node *n);
double clo_view_real(const clo_node *n);
bool clo_view_bool(const clo_node *n);
/* Members in order: the name, NULL behind the last one. Its value is the node after it. */
const clo_node *clo_view_first(const clo_node *obj);
const clo_node *clo_view_next(const clo_node *obj, const clo_node *name);
/* All names of an object, in order. Returns how many; 0: none, or more than `max`. */
size_t clo_view_names(const clo_node *obj, const clo_node **list, size_t max);
bool clo_view_is_named(const clo_node *name, const char *key, size_t len);
/* The members among them whose names begin with `prefix`, as one object, without the prefix. */
const char *clo_view_some(const clo_node *const *list, size_t n, const char *prefix, clo_arena *a,
                          size_t *len);
/* Compact JSON in `a`, or in memory of the document when `a` is NULL; NULL: no memory. */
const char *clo_view_text(const clo_node *n, clo_arena *a, size_t *len);

/* escape.c: one escape at p (a backslash): the character, and the bytes that it takes; -1: none that we
 * know. A character as UTF-8 (4 bytes at most), and as json-c writes it inside a string (6 at most). */
long clo_escape_get(const char *p, int *used);
size_t clo_escape_utf8(char *out, long c);
size_t clo_escape_put(char *out, long c);

/* Skips what needs no look inside a string: anything but a quote, a backslash, or a control
 * character; *high becomes something else than 0 when a byte beyond ASCII was among it. */
static inline const char *
clo_skip_plain(const char *p, const char *end, uint64_t *high)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
        __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        unsigned stops =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control));
        unsigned tops = (unsigned)_mm_movemask_epi8(v);

        if (stops != 0) {
            *high |= tops & ((stops & -stops) - 1); /* of the bytes before the first stop */
            return p + __builtin_ctz(stops);
        }
        *high |= tops;
        p += 16;
    }
#else
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;

    /* This marks at least the first byte of each kind in a word; false marks come only after a true
     * one, and the last loop looks byte by byte from the word's start anyway. */
    while (end - p >= 8) {
        uint64_t w, quote, slash;

        memcpy(&w, p, 8);
        quote = w ^ (ones * '"');
        slash = w ^ (ones * '\\');
        if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w)) &
            tops)
            break;
        *high |= w & tops;
        p += 8;
    }
#endif
    for (; p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20; p++)
        *high |= (unsigned char)*p & 0x80;
    return p;
}

#endif
