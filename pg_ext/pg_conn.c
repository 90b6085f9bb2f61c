/*
 * pg_conn.c - one client per user mapping and backend, and the settings of a session.
 *
 * A client holds the bearer token, the kept-alive connections, the answers cached within a
 * statement and the request log. It is made at the first use of a user mapping and reused by later
 * statements, so that a trigger that calls a function for each row does not connect for each row.
 *
 * What may change underneath, and how it is noticed:
 *  - ALTER SERVER, ALTER/DROP USER MAPPING: syscache callbacks mark entries stale, and the next use
 *    makes a fresh client. A scan under way holds its own reference and goes on with what it has.
 *  - SET close.*: assign hooks raise a counter, and the next use applies the settings again.
 *    Nothing else of a session sticks: DISCARD ALL resets everything that a user could set.
 *  - SET ROLE, SECURITY DEFINER, views: the caller asks for the client of the role whose rights
 *    count, so two roles never share one unless both use the mapping for PUBLIC.
 *
 * Errors. A client is configured while an owner in the transaction's memory holds it, and published
 * only when it is whole. The core can't be left half-way (nothing throws inside it), so there is no
 * state that an abort would have to discard; what an abort does leave is an entry whose session
 * settings were applied in part, hence the `applied` counter, which is raised last.
 *
 * Rights. The settings offered as close.* decide how hard we try and how much we take. Where the
 * server's owner has set a limit (rows, bytes, calls at a time), a session can only tighten it;
 * nothing that a role can SET decides where credentials go or whose data is seen.
 *
 * The allowed rate is learnt by all backends together where the library is preloaded, else by each one
 * for itself (pg_shmem.c, limit.c).
 *
 * The few variables here are the backend's own (a backend is one thread), and none is shared.
 */
#include "pg.h"

#include "access/xact.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define MAX_IDLE_ENTRIES 32 /* sessions that act for many roles keep the clients of the last few */

typedef struct entry {
    Oid mapping;        /* hash key */
    clo_client *client; /* NULL: to be made */
    Oid server;
    uint32 mapping_hash, server_hash; /* as syscache callbacks name them */
    bool stale;
    uint64 applied; /* generation of the session settings that the client has */
    uint64 used;    /* clock of the last use, to drop the oldest */
    int fds;        /* descriptors reserved with the backend */
} entry;

static HTAB *entries = NULL;
static uint64 uses = 0;

/* --- Session settings (GUCs) ------------------------------------------------------------------ */

#define MAX_SETTINGS 32

static char *server_name = NULL;
static char *setting_value[MAX_SETTINGS]; /* by option index; "" or NULL: not set */
static uint64 settings_generation = 1;

static bool
check_setting(size_t option, char **value)
{
    clo_err err;

    clo_err_clear(&err);
    if (*value == NULL || **value == '\0')
        return true;
    if (clo_option_check(clo_option_at(option), *value, &err) == CLO_OK)
        return true;
    GUC_check_errdetail("%s", clo_pg_local(err.msg));
    return false;
}

static void
assign_setting(const char *value, void *extra)
{
    (void)value;
    (void)extra;
    settings_generation++;
}

/* A check hook is not told which variable it is asked about, so there is one per place. */
#define HOOK(n)                                                                                    \
    static bool check_##n(char **value, void **extra, GucSource source)                            \
    {                                                                                              \
        (void)extra;                                                                               \
        (void)source;                                                                              \
        return check_setting(n, value);                                                            \
    }
/* clang-format off */
#define HOOKS(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) \
    X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
/* clang-format on */
#define HOOK_NAME(n) check_##n,
HOOKS(HOOK)
static const GucStringCheckHook check_hooks[MAX_SETTINGS] = {HOOKS(HOOK_NAME)};

void
clo_pg_conn_init(void)
{
    DefineCustomStringVariable("close.server",
                               "Foreign server whose account plain function calls use.", NULL,
                               &server_name, "close", PGC_USERSET, 0, NULL, NULL, NULL);
    StaticAssertStmt(lengthof(check_hooks) == MAX_SETTINGS, "one hook per setting");
    for (size_t i = 0; i < clo_option_count() && i < MAX_SETTINGS; i++) {
        const clo_option *o = clo_option_at(i);
        const char *name = psprintf("close.%s", o->name);

        if (o->flags & CLO_O_GUC)
            DefineCustomStringVariable(name, o->doc, "Empty: as the foreign server says.",
                                       &setting_value[i], "", PGC_USERSET, 0, check_hooks[i],
                                       assign_setting, NULL);
        else
            clo_pg_refuse_setting(name, o->doc, &setting_value[i]);
    }
    clo_pg_reserve_prefix("close");
}

/* --- Settings of a client --------------------------------------------------------------------- */

static void
set_option(clo_client *client, const char *name, const char *value, clo_origin from)
{
    clo_err err;

    clo_err_clear(&err);
    if (clo_client_set(client, name, value, from, &err) != CLO_OK)
        clo_pg_throw(&err);
}

/* Whether a session's value of `o` would take more than the owner of the server allows. */
static bool
widens(const clo_option *o, const char *session, const char *server)
{
    static const char *const limits[] = {"max_rows", "max_bytes", "concurrency", "cache_bytes"};
    int64 mine, theirs;

    if (server == NULL || o->kind != CLO_OPT_INT)
        return false;
    mine = strtoi64(session, NULL, 10); /* both have passed clo_option_check */
    theirs = strtoi64(server, NULL, 10);
    for (size_t i = 0; i < lengthof(limits); i++)
        if (strcmp(o->name, limits[i]) == 0)
            return theirs != 0 && (mine > theirs || mine == 0); /* 0: no limit */
    return false;
}

/* Brings the client in step with close.*; a value that would take more stays as the server has it.
 * */
static void
apply_session(entry *e, const ForeignServer *server)
{
    uint64 generation = settings_generation;

    if (e->applied == generation)
        return;
    for (size_t i = 0; i < clo_option_count() && i < MAX_SETTINGS; i++) {
        const clo_option *o = clo_option_at(i);
        const char *session = setting_value[i];

        if (!(o->flags & CLO_O_GUC))
            continue;
        if (session != NULL && *session == '\0')
            session = NULL;
        if (session != NULL && widens(o, session, clo_pg_option(server->options, o->name)))
            session = NULL;
        set_option(e->client, o->name, session, CLO_FROM_SESSION);
    }
    e->applied = generation;
}

static void
apply_options(clo_client *client, List *options, clo_origin from)
{
    ListCell *cell;

    foreach (cell, options) {
        DefElem *def = lfirst(cell);
        size_t len;

        if (strcmp(def->defname, CLO_PG_OPT_BATCH) != 0)
            set_option(client, def->defname, clo_pg_utf8(defGetString(def), &len), from);
    }
}

/* --- The cache -------------------------------------------------------------------------------- */

static void
drop_client(entry *e)
{
    clo_client *client = e->client;

    e->client = NULL;
    for (; e->fds > 0; e->fds--)
        ReleaseExternalFD();
    clo_client_unref(client);
}

/* hash == 0: everything of that kind may have changed. */
static void
on_invalidate(Datum arg, int cache, uint32 hash)
{
    HASH_SEQ_STATUS scan;
    entry *e;

    (void)arg;
    if (entries == NULL)
        return;
    hash_seq_init(&scan, entries);
    while ((e = hash_seq_search(&scan)) != NULL)
        if (hash == 0 || (cache == USERMAPPINGOID ? e->mapping_hash : e->server_hash) == hash)
            e->stale = true;
}

/* Stale clients are let go when the transaction ends; scans that still run hold their own. */
static void
on_transaction(XactEvent event, void *arg)
{
    HASH_SEQ_STATUS scan;
    entry *e;

    (void)arg;
    if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
        return;
    hash_seq_init(&scan, entries);
    while ((e = hash_seq_search(&scan)) != NULL) {
        if (e->client != NULL && !e->stale)
            continue;
        drop_client(e);
        hash_search(entries, &e->mapping, HASH_REMOVE, NULL);
    }
}

static void
make_cache(void)
{
    HASHCTL ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(entry), .hcxt = TopMemoryContext};

    if (entries != NULL)
        return;
    entries = hash_create("close clients", 8, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    CacheRegisterSyscacheCallback(USERMAPPINGOID, on_invalidate, (Datum)0);
    CacheRegisterSyscacheCallback(FOREIGNSERVEROID, on_invalidate, (Datum)0);
    RegisterXactCallback(on_transaction, NULL);
}

/* Lets go of the client that was used longest ago; scans that run on it hold their own reference.
 * False: there is none but `keep`. */
static bool
drop_oldest(const entry *keep)
{
    HASH_SEQ_STATUS scan;
    entry *e, *oldest = NULL;

    hash_seq_init(&scan, entries);
    while ((e = hash_seq_search(&scan)) != NULL)
        if (e != keep && (oldest == NULL || e->used < oldest->used))
            oldest = e;
    if (oldest == NULL)
        return false;
    drop_client(oldest);
    hash_search(entries, &oldest->mapping, HASH_REMOVE, NULL);
    return true;
}

/* Tells the backend of the descriptors that the client may open, at the cost of older clients. */
static void
reserve_descriptors(entry *e, int want, const ForeignServer *server)
{
    while (e->fds < want) {
        if (AcquireExternalFD()) {
            e->fds++;
        } else if (!drop_oldest(e)) {
            drop_client(e);
            ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                            errmsg("no file descriptors left for connections to the service"),
                            errhint("Raise max_files_per_process, or lower concurrency on server "
                                    "\"%s\".",
                                    server->servername)));
        }
    }
}

/* Makes the client of an entry. Until everything has worked an owner has it, not the entry. */
static void
connect_entry(entry *e, const UserMapping *mapping, const ForeignServer *server)
{
    clo_pg_owner *owner = clo_pg_own(CurrentMemoryContext, CLO_PG_CLIENT);
    clo_client *client;
    clo_err err;

    clo_err_clear(&err);
    clo_pg_own_set(owner, clo_client_new(&err));
    client = clo_pg_owned(owner);
    if (client == NULL)
        clo_pg_throw(&err);
    StaticAssertStmt(CLO_PG_SHMEM_LIMITER_BYTES == CLO_LIMITS_BYTES, "the limiter's table fits");
    clo_client_share_limits(client, clo_pg_shmem_limiter());
    apply_options(client, server->options, CLO_FROM_SERVER);
    apply_options(client, mapping->options, CLO_FROM_MAPPING);

    reserve_descriptors(e, (int)clo_client_setting_int(client, "concurrency"), server);
    e->client = clo_pg_own_take(owner);
    e->applied = 0;
    e->stale = false;
}

/* The mapping of `user`, else that of PUBLIC; InvalidOid when there is none. */
static Oid
find_mapping(Oid user, Oid server)
{
    Oid mapping = GetSysCacheOid2(USERMAPPINGUSERSERVER, Anum_pg_user_mapping_oid,
                                  ObjectIdGetDatum(user), ObjectIdGetDatum(server));

    if (OidIsValid(mapping))
        return mapping;
    return GetSysCacheOid2(USERMAPPINGUSERSERVER, Anum_pg_user_mapping_oid,
                           ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(server));
}

clo_client *
clo_pg_client(Oid user, Oid server_oid)
{
    ForeignServer *server = GetForeignServer(server_oid);
    Oid mapping = find_mapping(user, server_oid);
    bool found;
    entry *e;

    if (!OidIsValid(mapping))
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("role \"%s\" has no user mapping for server \"%s\"",
                               GetUserNameFromId(user, false), server->servername),
                        errhint("CREATE USER MAPPING FOR %s SERVER %s OPTIONS (client_id '...', "
                                "client_secret '...', identifier '...').",
                                quote_identifier(GetUserNameFromId(user, false)),
                                quote_identifier(server->servername))));
    make_cache();
    e = hash_search(entries, &mapping, HASH_ENTER, &found);
    if (!found) {
        e->client = NULL;
        e->fds = 0;
        e->stale = false;
    }
    e->used = ++uses;
    if (e->client != NULL && e->stale)
        drop_client(e);
    if (e->client == NULL) {
        e->server = server_oid;
        e->mapping_hash = GetSysCacheHashValue1(USERMAPPINGOID, ObjectIdGetDatum(mapping));
        e->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(server_oid));
        connect_entry(e, GetUserMapping(user, server_oid), server);
        if (hash_get_num_entries(entries) > MAX_IDLE_ENTRIES)
            (void)drop_oldest(e);
    }
    apply_session(e, server);
    return e->client;
}

clo_client *
clo_pg_client_peek(Oid user, Oid server)
{
    Oid mapping = find_mapping(user, server);
    entry *e;

    if (entries == NULL || !OidIsValid(mapping))
        return NULL;
    e = hash_search(entries, &mapping, HASH_FIND, NULL);
    return e != NULL && !e->stale ? e->client : NULL;
}

const char *
clo_pg_server_name(void)
{
    return server_name != NULL && *server_name != '\0' ? server_name : "close";
}

clo_client *
clo_pg_server_client(const char *name, Oid user)
{
    ForeignServer *server = GetForeignServerByName(name, true);
    AclResult acl;

    if (server == NULL)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("there is no foreign server \"%s\"", name),
                        errhint("CREATE SERVER %s FOREIGN DATA WRAPPER close OPTIONS (env_url "
                                "'https://...'), or SET close.server to the name of yours.",
                                quote_identifier(name))));
    acl = clo_pg_server_aclcheck(server->serverid, user);
    if (acl != ACLCHECK_OK)
        aclcheck_error(acl, OBJECT_FOREIGN_SERVER, server->servername);
    if (GetFdwRoutineByServerId(server->serverid)->BeginForeignScan != clo_pg_scan_begin)
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("foreign server \"%s\" is not one of the wrapper \"close\"", name),
                        errhint("SET close.server to one that is.")));
    return clo_pg_client(user, server->serverid);
}

clo_client *
clo_pg_function_client(void)
{
    return clo_pg_server_client(clo_pg_server_name(), GetUserId());
}
