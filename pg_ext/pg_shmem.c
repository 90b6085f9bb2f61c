/*
 * pg_shmem.c - the shared memory of the library, which there is when the postmaster preloads it.
 *
 * Each area has a name, a fixed size and one user, who decides what the bytes mean. An area begins
 * as zeros on a boundary of at least 64 bytes, and does so again when the postmaster makes the
 * memory anew after a crash: nothing in it may be missed. Without shared_preload_libraries an area
 * is NULL, and its user does without.
 *
 * Sizes are fixed so that nothing but the list of libraries decides how much is asked for, and an
 * area holds no addresses of its own, only what is the same in all processes.
 *
 * Before PostgreSQL 15 memory is asked for while libraries are loaded, since then in a hook.
 * Hooks that were there before are called first.
 *
 * Rejected: dynamic shared memory (it exists without preloading, but somebody must make and find
 * it, and it goes with the last that uses it); a file that is mapped (it outlives crashes, torn).
 */
#include "pg.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define TRANCHE "close_outbox"

static struct area {
    const char *name; /* as pg_shmem_allocations shows it */
    Size bytes;
    void *at;
} limiter = {"close limiter", CLO_PG_SHMEM_LIMITER_BYTES, NULL},
  outbox = {"close outbox", CLO_PG_SHMEM_OUTBOX_BYTES, NULL};

static struct area *const areas[] = {&limiter, &outbox};
static LWLock *outbox_lock = NULL;

static shmem_startup_hook_type next_startup = NULL;
#if CLO_PG_HAS_SHMEM_HOOK
static shmem_request_hook_type next_request = NULL;
#endif

void *
clo_pg_shmem_limiter(void)
{
    return limiter.at;
}

void *
clo_pg_shmem_outbox(void)
{
    return outbox.at;
}

LWLock *
clo_pg_shmem_lock(void)
{
    return outbox_lock;
}

static void
start(void)
{
    if (next_startup != NULL)
        next_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    for (size_t i = 0; i < lengthof(areas); i++) {
        bool found;

        areas[i]->at = ShmemInitStruct(areas[i]->name, areas[i]->bytes, &found);
        if (!found)
            memset(areas[i]->at, 0, areas[i]->bytes);
    }
    outbox_lock = &GetNamedLWLockTranche(TRANCHE)->lock;
    LWLockRelease(AddinShmemInitLock);
}

static void
request(void)
{
#if CLO_PG_HAS_SHMEM_HOOK
    if (next_request != NULL)
        next_request();
#endif
    for (size_t i = 0; i < lengthof(areas); i++)
        RequestAddinShmemSpace(CACHELINEALIGN(areas[i]->bytes));
    RequestNamedLWLockTranche(TRANCHE, 1);
}

void
clo_pg_shmem_init(void)
{
    StaticAssertStmt(PG_CACHE_LINE_SIZE >= 64, "areas are aligned to a cache line");
    if (!process_shared_preload_libraries_in_progress)
        return;
#if CLO_PG_HAS_SHMEM_HOOK
    next_request = shmem_request_hook;
    shmem_request_hook = request;
#else
    request();
#endif
    next_startup = shmem_startup_hook;
    shmem_startup_hook = start;
}
