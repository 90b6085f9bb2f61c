/*
 * mem.c - the only caller of malloc, realloc and free, and the arena built on them.
 *
 * Everything that the core owns comes from here, so that a debug build can answer the two
 * questions that matter for a library living inside somebody else's process: is anything left
 * behind (clo_mem_live), and does every path survive running out of memory (CLO_TEST_OOM,
 * clo_mem_fail)? Release builds pay nothing for it: the wrappers are a comparison and a tail
 * call.
 *
 * Rules
 *  - No block carries a header, so sanitizers and Valgrind see exactly what was asked for.
 *  - Sizes are checked: a product that overflows, or a request above PTRDIFF_MAX, is out of
 *    memory.
 *  - Size 0 is a block like any other. That keeps "NULL means failure" true everywhere.
 *  - Reallocation to a smaller size may fail too; callers keep the old block then.
 *
 * The arena serves the values of one page. It hands out aligned pieces of growing blocks and
 * frees them together; a reset keeps the largest block, so a long scan settles on one block and
 * stops allocating. Rejected: a free list per size (values of a page die together anyway), and an
 * arena that never frees between pages (a single fat page would pin its memory for the whole
 * scan; here the next reset bounds it at one block).
 *
 * The debug counters are the only mutable globals of the core. They are atomic because
 * independent clients may run in different threads.
 */
#include "clo_int.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#ifdef CLO_DEBUG
#include <stdatomic.h>
#include <unistd.h>

static atomic_long live_blocks;
static atomic_long fail_in;    /* allocations until the failing one; 0: off */
static atomic_bool fail_stays; /* from there on, not once */
static atomic_bool env_seen;

long
clo_mem_fail(long n, bool from_there_on)
{
    atomic_store(&env_seen, true);
    atomic_store(&fail_stays, from_there_on);
    return atomic_exchange(&fail_in, n);
}

static void
read_environment(void)
{
    const char *s = secure_getenv("CLO_TEST_OOM");
    long n = 0;

    if (atomic_exchange(&env_seen, true) || !s)
        return;
    for (; *s >= '0' && *s <= '9' && n < 1000000000; s++)
        n = n * 10 + (*s - '0');
    atomic_store(&fail_stays, *s == '+');
    atomic_store(&fail_in, n);
}

bool
clo_mem_fault(void)
{
    long left;

    if (!atomic_load(&env_seen))
        read_environment();
    left = atomic_load(&fail_in);
    if (left == 0)
        return false;
    if (left == 1 && atomic_load(&fail_stays))
        return true;
    return atomic_fetch_sub(&fail_in, 1) == 1;
}

void
clo_assert_failed(const char *what, const char *file, int line)
{
    char text[256];
    clo_buf b;
    ssize_t ignored;

    clo_text_cut(text, sizeof text, what, strlen(what));
    clo_buf_init(&b, 1024);
    clo_buf_fmt(&b, "%s:%d: broken invariant: %s\n", file, line, text);
    ignored = write(STDERR_FILENO, b.data ? b.data : text, b.data ? b.len : strlen(text));
    (void)ignored;
    __builtin_trap();
}

#define COUNT(p, n) ((p) ? (void)atomic_fetch_add(&live_blocks, (n)) : (void)0)
#else
#define COUNT(p, n) ((void)0)
#endif

long
clo_mem_live(void)
{
#ifdef CLO_DEBUG
    return atomic_load(&live_blocks);
#else
    return 0;
#endif
}

void *
clo_malloc(size_t size)
{
    void *p;

    if (size > PTRDIFF_MAX || clo_mem_fault())
        return NULL;
    p = malloc(size ? size : 1);
    COUNT(p, 1);
    return p;
}

void *
clo_calloc(size_t n, size_t size)
{
    void *p;
    size_t total;

    if (__builtin_mul_overflow(n, size, &total) || total > PTRDIFF_MAX || clo_mem_fault())
        return NULL;
    p = calloc(1, total ? total : 1);
    COUNT(p, 1);
    return p;
}

void *
clo_realloc(void *p, size_t size)
{
    void *q;

    if (!p)
        return clo_malloc(size);
    if (size > PTRDIFF_MAX || clo_mem_fault())
        return NULL;
    q = realloc(p, size ? size : 1);
    return q;
}

void
clo_free(void *p)
{
    COUNT(p, -1);
    free(p);
}

void *
clo_grow(void *p, size_t *cap, size_t need, size_t size)
{
    size_t want = *cap + *cap / 2, total;
    void *q;

    if (p && need <= *cap)
        return p;
    if (want < need)
        want = need;
    if (want < 8)
        want = 8;
    if (__builtin_mul_overflow(want, size, &total))
        return NULL;
    q = clo_realloc(p, total);
    if (q)
        *cap = want;
    return q;
}

char *
clo_strdup(const char *s)
{
    return s ? clo_strndup(s, strlen(s)) : NULL;
}

char *
clo_strndup(const char *s, size_t n)
{
    char *p;

    if (!s || n >= PTRDIFF_MAX)
        return NULL;
    p = clo_malloc(n + 1);
    if (!p)
        return NULL;
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

void
clo_wipe_free(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    clo_free(s);
}

/* ---- arena ---- */

#define FIRST_BLOCK ((size_t)4096)
#define LARGEST_STEP ((size_t)256 * 1024)

typedef struct arena_block arena_block;
struct arena_block {
    arena_block *next; /* older block */
    size_t cap, used;  /* of data */
    alignas(max_align_t) char data[];
};

struct clo_arena {
    arena_block *top; /* the newest one; only this is handed out from */
};

clo_arena *
clo_arena_new(void)
{
    return clo_calloc(1, sizeof(clo_arena));
}

/* A block for at least `size` bytes becomes the top. Blocks double, so that the number of blocks
 * stays small; a request larger than the step gets a block of its own size. */
static arena_block *
arena_more(clo_arena *a, size_t size)
{
    size_t cap = a->top ? a->top->cap : FIRST_BLOCK / 2;
    arena_block *b;

    cap = cap >= LARGEST_STEP / 2 ? LARGEST_STEP : cap * 2;
    if (cap < size)
        cap = size;
    if (cap > PTRDIFF_MAX - sizeof *b)
        return NULL;
    b = clo_malloc(sizeof *b + cap);
    if (!b)
        return NULL;
    b->next = a->top;
    b->cap = cap;
    b->used = 0;
    a->top = b;
    return b;
}

void *
clo_arena_alloc(clo_arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    arena_block *b = a->top;
    void *p;

    if (size > PTRDIFF_MAX - align)
        return NULL;
    size = (size + align - 1) / align * align;
    if (!b || b->cap - b->used < size)
        b = arena_more(a, size);
    if (!b)
        return NULL;
    p = b->data + b->used;
    b->used += size;
    return p;
}

char *
clo_arena_strndup(clo_arena *a, const char *s, size_t n)
{
    char *p;

    if (n >= PTRDIFF_MAX)
        return NULL;
    p = clo_arena_alloc(a, n + 1);
    if (!p)
        return NULL;
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

static void
free_blocks(arena_block *b)
{
    while (b) {
        arena_block *next = b->next;

        clo_free(b);
        b = next;
    }
}

void
clo_arena_reset(clo_arena *a)
{
    arena_block **link, **best = &a->top;
    arena_block *keep;

    if (!a->top)
        return;
    for (link = &a->top; *link; link = &(*link)->next) {
        if ((*link)->cap > (*best)->cap)
            best = link;
    }
    keep = *best;
    *best = keep->next;
    free_blocks(a->top);
    keep->next = NULL;
    keep->used = 0;
    a->top = keep;
}

void
clo_arena_free(clo_arena *a)
{
    if (!a)
        return;
    free_blocks(a->top);
    clo_free(a);
}
