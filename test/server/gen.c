/*
 * Generated leads, contacts, opportunities and tasks, and the driver of generation.
 *
 * A row is a pure function of (seed, table, number): the driver only lays out which rows exist and
 * to which lead they belong, the objects are made when read. Counts per lead follow short patterns,
 * so 100 leads have 150 contacts, 80 opportunities and 120 tasks at any size.
 *
 * The values are chosen to hurt: empty text next to null next to an absent key, names with quotes,
 * backslashes, line breaks and characters outside the first Unicode plane, groups of leads with the
 * very same timestamp (bulk imports and bulk edits), timestamps with and without fraction and, now
 * and then, without offset, tasks with a date and tasks with a timestamp, ids of a user who left.
 *
 * Rejected: writing dependent values from the current clock. A run must be repeatable, so all
 * generated data ends at a fixed day and only what a client writes carries the present.
 *
 * Generation refers to the first rows of the small tables only, so a status or a field added by a
 * test never changes generated rows.
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GEN_START INT64_C(1641196800) /* 2022-01-03T08:00:00 */
#define GEN_END INT64_C(1788199200)   /* 2026-08-31T18:00:00 */

static const unsigned char n_contacts[] = {1, 2, 0, 3};
static const unsigned char n_opps[] = {1, 0, 2, 1, 0};
static const unsigned char n_tasks[] = {1, 2, 0, 2, 1};
/* Per kind of activity: how many for lead i, by i modulo the length. */
static const char *const act_pattern[A_COUNT] = {
    [A_NOTE] = "1021",      [A_CALL] = "101",  [A_EMAIL] = "021",       [A_SMS] = "001",
    [A_MEETING] = "0001",   [A_CREATED] = "1", [A_LEAD_STATUS] = "010", [A_OPP_STATUS] = "00100",
    [A_TASK_DONE] = "0010", [A_MERGE] = "0",   [A_CUSTOM] = "01000",
};

static const char *const words[] = {
    "Norrland", "Timber",  "Bolt",    "Anker",  "Blue",    "Copper",  "Delta", "Elbe",
    "Fjord",    "Granite", "Harbour", "Iron",   "Juniper", "Kestrel", "Lumen", "Meridian",
    "North",    "Orchard", "Pine",    "Quarry", "River",   "Stone",   "Tidal", "Umber",
    "Vega",     "Willow",  "Xenon",   "Yarrow", "Zephyr",  "Amber",   "Birch", "Cedar"};
static const char *const suffixes[] = {"AB", "GmbH", "Ltd", "Inc.", "& Co", "S.A.", "Oy", "LLC"};
static const char *const firsts[] = {"Anna", "Björn", "Carla",  "Dev",   "Élise", "Farid", "Greta",
                                     "Hugo", "Ines",  "Jürgen", "Kaori", "Liam",  "Mina",  "Noël"};
static const char *const lasts[] = {"Andersson", "Brandt",  "Costa",    "Dubois",
                                    "Eriksen",   "Fischer", "García",   "Haddad",
                                    "Ito",       "Jansen",  "Kowalski", "Łukasik"};

const char *
st_word(uint64_t r)
{
    return words[r % ST_LEN(words)];
}

uint64_t
st_row_seed(const struct st_dataset *ds, enum st_tab t, uint32_t gen)
{
    return st_mix(ds->seed ^ ((uint64_t)t << 56) ^ ((uint64_t)gen * UINT64_C(0x2545f4914f6cdd1d)));
}

void
st_stamp(js *o, const char *key, int64_t us, bool naive)
{
    char at[40];
    if (naive)
        st_time_naive(us, at);
    else
        st_time_classic(us, at);
    js_adds(o, key, at);
}

/* ---- layout ---- */

static void
lead_times(struct st_dataset *ds, uint32_t i, struct st_row *row)
{
    int64_t step = (GEN_END - GEN_START) / (ds->n_leads + 1);
    uint64_t h = st_mix(ds->seed + i);
    uint32_t anchor = i % 50 < 7 ? i - i % 50 : i; /* seven leads of each fifty came together */
    int64_t at = (GEN_START + step * anchor) * ST_SECOND;
    if (anchor == i && i % 50)
        at += (int64_t)(h % 1000) * 1000 * (i % 8 != 0) + (int64_t)(h % 7) * step * ST_SECOND / 2;
    if (at >
        GEN_END * ST_SECOND) /* few leads, large steps: what belongs to a lead comes after it */
        at = GEN_END * ST_SECOND;
    row->created = at;
    int64_t later = (int64_t)(st_mix(h) % (90 * 86400)) * ST_SECOND;
    row->updated = at + (i % 40 < 5 ? 0 : later);
    if (i % 30 >= 25) /* five of each thirty were edited together */
        row->updated = (GEN_END - 40 * 86400 + (i / 30) % 60 * 60) * ST_SECOND;
    if (row->updated > GEN_END * ST_SECOND)
        row->updated = GEN_END * ST_SECOND;
    if (row->updated < row->created)
        row->updated = row->created;
}

static void
layout_row(struct st_dataset *ds, enum st_tab t, uint32_t lead, uint8_t kind, const char *prefix,
           int len)
{
    struct st_row row = {.gen = ds->t[t].n, .lead = lead, .kind = kind};
    uint64_t seed = st_row_seed(ds, t, row.gen);
    st_id(row.id, prefix, len, seed);
    int64_t base = lead == ST_NONE ? GEN_START * ST_SECOND : ds->t[T_LEAD].rows[lead].created;
    int64_t room = GEN_END * ST_SECOND - base;
    uint64_t r = st_mix(seed);
    row.created = base + (int64_t)(r % (uint64_t)(room / ST_SECOND + 1)) * ST_SECOND;
    if (kind == A_CREATED && t == T_ACTIVITY)
        row.created = base;
    if (r % 8)
        row.created += (int64_t)(r >> 40) % 1000 * 1000;
    row.updated = row.created + (r % 3 ? (int64_t)(r >> 20) % (20 * 86400) * ST_SECOND : 0);
    if (row.updated > GEN_END * ST_SECOND)
        row.updated = row.created;
    st_append_generated(ds, t, &row);
}

static void
layout_lead(struct st_dataset *ds, uint32_t i)
{
    struct st_row row = {.gen = i, .lead = i};
    st_id(row.id, "lead", 43, st_row_seed(ds, T_LEAD, i));
    lead_times(ds, i, &row);
    st_append_generated(ds, T_LEAD, &row);
    ds->t[T_CONTACT].first[i] = ds->t[T_CONTACT].n;
    ds->t[T_OPP].first[i] = ds->t[T_OPP].n;
    ds->t[T_TASK].first[i] = ds->t[T_TASK].n;
    ds->t[T_ACTIVITY].first[i] = ds->t[T_ACTIVITY].n;
    for (int k = 0; k < n_contacts[i % ST_LEN(n_contacts)]; k++)
        layout_row(ds, T_CONTACT, i, 0, "cont", 43);
    for (int k = 0; k < n_opps[i % ST_LEN(n_opps)]; k++)
        layout_row(ds, T_OPP, i, 0, "oppo", 43);
    for (int k = 0; k < n_tasks[i % ST_LEN(n_tasks)]; k++) {
        uint32_t n = ds->t[T_TASK].n;
        uint8_t kind = n % 3 == 2 ? (uint8_t)(1 + n / 3 % 8) : 0;
        layout_row(ds, T_TASK, i, kind, kind <= 1 ? "task" : "noti", 43);
    }
    for (int a = 0; a < A_COUNT; a++) {
        const char *p = act_pattern[a];
        for (int k = p[i % strlen(p)] - '0'; k > 0; k--)
            layout_row(ds, T_ACTIVITY, i, (uint8_t)a, "acti", 43);
    }
    if (i % 4 == 0)
        layout_row(ds, T_CUSTOBJ, i, 0, "custobj", 43);
    if (i % 10 == 1)
        layout_row(ds, T_SUB, i, 0, "sub", 22);
    if (i % 20 == 3)
        layout_row(ds, T_SUB, i, 0, "sub", 22);
    if (i % 10 == 0) {
        layout_row(ds, T_THREAD, i, 0, "comthr", 22);
        for (uint32_t k = 0; k <= i / 10 % 3; k++)
            layout_row(ds, T_COMMENT, i, 0, "comm", 22);
    }
}

static void
layout_events(struct st_dataset *ds)
{
    uint32_t n = ds->n_leads * 2 < 1500 ? ds->n_leads * 2 : 1500;
    for (uint32_t i = 0; i < n; i++) { /* oldest first; the list turns them round */
        struct st_row row = {.gen = i,
                             .lead = (uint32_t)(st_row_seed(ds, T_EVENT, i) % ds->n_leads)};
        st_id(row.id, "ev", 22, st_row_seed(ds, T_EVENT, i));
        uint32_t group = i % 60 < 6 ? i - i % 60 : i; /* some share their instant */
        row.created = (GEN_END - (int64_t)(n - group) * 1200) * ST_SECOND + group % 7 * 1001;
        row.updated = row.created;
        st_append_generated(ds, T_EVENT, &row);
    }
}

void
st_generate(struct st_dataset *ds)
{
    static const enum st_tab grown[] = {T_LEAD, T_CONTACT, T_OPP,     T_TASK,    T_ACTIVITY,
                                        T_SUB,  T_THREAD,  T_COMMENT, T_CUSTOBJ, T_EVENT};
    static const enum st_tab firsts_of[] = {T_CONTACT, T_OPP, T_TASK, T_ACTIVITY};
    st_generate_config(ds);
    for (size_t i = 0; i < ST_LEN(firsts_of); i++)
        ds->t[firsts_of[i]].first = st_alloc(sizeof(uint32_t) * (ds->n_leads + 1));
    for (uint32_t i = 0; i < ds->n_leads; i++)
        layout_lead(ds, i);
    for (size_t i = 0; i < ST_LEN(firsts_of); i++)
        ds->t[firsts_of[i]].first[ds->n_leads] = ds->t[firsts_of[i]].n;
    if (ds->n_leads) {
        layout_events(ds);
        /* an unknown caller: no lead, no contact */
        layout_row(ds, T_ACTIVITY, ST_NONE, A_CALL, "acti", 43);
        layout_row(ds, T_ACTIVITY, ST_NONE, A_SMS, "acti", 43);
        layout_row(ds, T_TASK, ST_NONE, 4, "noti", 43);
    }
    for (size_t i = 0; i < ST_LEN(grown); i++)
        st_index_done(ds, grown[i]);
}

/* ---- objects ---- */

static const char *
some_user(struct st_dataset *ds, uint64_t r, char gone[56])
{
    if (r % 23)
        return st_nth_id(ds, T_USER, r % 5);
    st_id(gone, "user", 43, st_row_seed(ds, T_USER, 99));
    return gone;
}

void
st_common(struct st_dataset *ds, js *o, const struct st_row *row, bool naive)
{
    char gone[56];
    uint64_t h = st_hash(row->id);
    js_adds(o, "organization_id", ds->org);
    js_adds(o, "created_by", some_user(ds, h, gone));
    js_adds(o, "updated_by", h % 13 == 5 ? NULL : some_user(ds, h >> 8, gone));
    st_stamp(o, "date_created", row->created, naive);
    st_stamp(o, "date_updated", row->updated, naive);
}

void
st_lead_name(struct st_dataset *ds, uint32_t gen, char *out, size_t cap)
{
    static const char *const fixed[] = {"Acme",
                                        "Acme Bolts GmbH",
                                        "Bolt & Co",
                                        "",
                                        "Acme Rockets, Inc.",
                                        "Ærø Søfart – 株式会社テスト",
                                        "O'Brien \"Quoted\" \\ Söhne 🚀",
                                        "ACME Österreich",
                                        "Line\nBreak\tTab Ltd",
                                        "100% Natural_Foods"};
    uint64_t h = st_mix(st_row_seed(ds, T_LEAD, gen));
    if (gen < ST_LEN(fixed))
        snprintf(out, cap, "%s", fixed[gen]);
    else if (gen % 97 == 13)
        snprintf(out, cap, "Acme %s %u", st_word(h), gen);
    else if (gen % 97 == 14)
        snprintf(out, cap, "Bolt & Co %u", gen);
    else
        snprintf(out, cap, "%s %s %s", st_word(h), st_word(h >> 16),
                 suffixes[(h >> 32) % ST_LEN(suffixes)]);
}

/* The key of the nth custom field of a table. */
static void
cf_key(struct st_dataset *ds, enum st_tab t, uint64_t n, char key[80])
{
    snprintf(key, 80, "custom.%s", st_nth_id(ds, t, n));
}

static void
cf_add(struct st_dataset *ds, js *o, enum st_tab t, uint64_t n, js *value)
{
    char key[80];
    if (!ds->t[t].rows[n].live) { /* deleting a field removes its values for good */
        json_object_put(value);
        return;
    }
    cf_key(ds, t, n, key);
    js_add(o, key, value);
}

static void
cf_date(char out[16], uint64_t r)
{
    st_time_date((GEN_START + (int64_t)(r % 1700) * 86400) * ST_SECOND, out);
}

static void
lead_custom(struct st_dataset *ds, js *o, const struct st_row *row, uint64_t h)
{
    static const char *const tiers[] = {"Gold", "Silver", "Bronze"};
    static const char *const things[] = {"Bolts", "Nuts", "Screws", "Washers"};
    char date[16], at[40];
    uint32_t i = row->gen;
    if (i % 2 == 0)
        cf_add(ds, o, T_CF_LEAD, 0, js_new_str(i % 6 ? st_word(h >> 3) : ""));
    if (i % 3 == 0)
        cf_add(ds, o, T_CF_LEAD, 1, json_object_new_int64((int64_t)(h % 5000)));
    if (i % 4 == 1) {
        cf_date(date, h);
        cf_add(ds, o, T_CF_LEAD, 2, js_new_str(date));
    }
    if (i % 5 == 2) {
        st_time_classic((GEN_START + (int64_t)(h % 100000000)) * ST_SECOND, at);
        cf_add(ds, o, T_CF_LEAD, 3, js_new_str(at));
    }
    if (i % 3 != 2)
        cf_add(ds, o, T_CF_LEAD, 4, js_new_str(tiers[h % 3]));
    if (i % 4 == 3) {
        js *a = json_object_new_array();
        for (uint64_t k = 0; k <= h % 3; k++)
            json_object_array_add(a, js_new_str(things[(h + k) % 4]));
        cf_add(ds, o, T_CF_LEAD, 5, a);
    }
    if (i % 6 == 1)
        cf_add(ds, o, T_CF_LEAD, 6, js_new_str(st_nth_id(ds, T_USER, h % 5)));
    if (i % 7 == 1)
        cf_add(ds, o, T_CF_LEAD, 7, js_new_str("First line\nsecond line: ü \"quoted\""));
    if (i % 9 == 1)
        cf_add(ds, o, T_CF_LEAD, 8, js_new_str(st_word(h >> 9)));
    uint32_t c = st_gen_contact_of(ds, i, h);
    if (i % 8 == 3 && c != ST_NONE)
        cf_add(ds, o, T_CF_LEAD, 9, js_new_str(ds->t[T_CONTACT].rows[c].id));
    if (i % 8 == 0 && i / 4 < ds->t[T_CUSTOBJ].generated)
        cf_add(ds, o, T_CF_LEAD, 10, js_new_str(ds->t[T_CUSTOBJ].rows[i / 4].id));
    if (i % 5 == 4)
        cf_add(ds, o, T_CF_SHARED, 0, js_new_str("EMEA"));
}

static js *
lead_addresses(uint64_t h, uint32_t i)
{
    static const char *const cities[][4] = {{"Umeå", "903 25", "SE", "Europe/Stockholm"},
                                            {"Köln", "50667", "DE", "Europe/Berlin"},
                                            {"San José", "95110", "US", "America/Los_Angeles"}};
    js *all = json_object_new_array();
    if (i % 4 == 2)
        return all;
    const char *const *c = cities[h % 3];
    js *a = json_object_new_object(), *tz = json_object_new_array();
    js_adds(a, "label", "business");
    js_addf(a, "address_1", "Kajen %u", (unsigned)(h % 90) + 1);
    js_adds(a, "address_2", i % 3 ? NULL : "");
    js_adds(a, "city", c[0]);
    js_adds(a, "state", h % 3 == 2 ? "CA" : NULL);
    js_adds(a, "zipcode", c[1]);
    js_adds(a, "country", c[2]);
    json_object_array_add(tz, js_new_str(c[3]));
    js_add(a, "tz_ids", tz);
    json_object_array_add(all, a);
    return all;
}

static js *
gen_lead(struct st_dataset *ds, const struct st_row *row)
{
    char name[160];
    uint64_t h = st_mix(st_row_seed(ds, T_LEAD, row->gen) + 1);
    uint32_t i = row->gen;
    js *o = json_object_new_object();
    st_lead_name(ds, i, name, sizeof name);
    js_adds(o, "id", row->id);
    js_adds(o, "name", i % 61 == 60 ? NULL : name);
    if (i % 3 == 0)
        js_adds(o, "description", i % 2 ? "" : NULL);
    else
        js_addf(o, "description", "Makes %s for %s.", st_word(h >> 4), st_word(h >> 12));
    if (i % 4 == 1)
        js_adds(o, "url", NULL);
    else
        js_addf(o, "url", "https://lead%u.example.test/", i);
    js_adds(o, "status_id", ds->t[T_LSTATUS].rows[i % 11 == 10 ? 4 : h % 4].id);
    js_add(o, "addresses", lead_addresses(h, i));
    js_add(o, "integration_links", json_object_new_array());
    if (i % 3)
        js_adds(o, "source", i % 3 == 1 ? "api" : NULL);
    js_addf(o, "html_url", "https://app.close.com/lead/%s/", row->id);
    st_common(ds, o, row, false);
    lead_custom(ds, o, row, h);
    return o;
}

uint32_t
st_gen_contact_of(struct st_dataset *ds, uint32_t lead, uint64_t r)
{
    const uint32_t *first = ds->t[T_CONTACT].first;
    if (lead >= ds->n_leads || first[lead] == first[lead + 1])
        return ST_NONE;
    return first[lead] + (uint32_t)(r % (first[lead + 1] - first[lead]));
}

static js *
phone_new(uint64_t h, const char *type)
{
    js *p = json_object_new_object(), *tz = json_object_new_array();
    unsigned n = (unsigned)(h % 900000) + 100000;
    js_addf(p, "phone", "+468%u", n);
    js_addf(p, "phone_formatted", "+46 8 %u %u", n / 1000, n % 1000);
    js_adds(p, "type", type);
    js_adds(p, "country", "SE");
    json_object_array_add(tz, js_new_str("Europe/Stockholm"));
    js_add(p, "tz_ids", tz);
    js_addb(p, "outbound_sms_blocked", false);
    return p;
}

static js *
gen_contact(struct st_dataset *ds, const struct st_row *row)
{
    static const char *const titles[] = {"CEO", "Head of Purchasing", "Ingénieure", "Buyer"};
    uint64_t h = st_mix(st_row_seed(ds, T_CONTACT, row->gen) + 1);
    uint32_t i = row->gen;
    js *o = json_object_new_object(), *emails = json_object_new_array();
    js *phones = json_object_new_array(), *urls = json_object_new_array();
    js_adds(o, "id", row->id);
    js_adds(o, "lead_id", row->lead == ST_NONE ? NULL : ds->t[T_LEAD].rows[row->lead].id);
    if (i % 17 == 4)
        js_adds(o, "name", i % 2 ? NULL : ""); /* a contact without name */
    else
        js_addf(o, "name", "%s %s", firsts[h % ST_LEN(firsts)], lasts[(h >> 8) % ST_LEN(lasts)]);
    js_adds(o, "title", i % 3 == 0 ? NULL : i % 7 == 1 ? "" : titles[h % 4]);
    for (uint64_t k = 0; k < (i % 5 == 4 ? 0 : 1 + h % 2); k++) {
        js *e = json_object_new_object();
        js_addf(e, "email", "contact%u.%u@example.test", i, (unsigned)k);
        js_adds(e, "type", k ? "home" : "office");
        js_addb(e, "is_unsubscribed", h % 19 == 0);
        json_object_array_add(emails, e);
    }
    if (i % 3)
        json_object_array_add(phones, phone_new(h, i % 2 ? "mobile" : "office"));
    js_add(o, "emails", emails);
    js_add(o, "phones", phones);
    js_add(o, "urls", urls);
    if (i % 4 == 0)
        js_adds(o, "timezone", "Europe/Stockholm");
    js_add(o, "integration_links", json_object_new_array());
    st_common(ds, o, row, false);
    if (i % 41 == 3)
        st_stamp(o, "date_updated", row->updated, true);
    if (i % 2)
        cf_add(ds, o, T_CF_CONTACT, 0, js_new_str(st_word(h)));
    if (i % 3 == 1)
        cf_add(ds, o, T_CF_CONTACT, 1, js_new_str(h % 2 ? "Phone" : "Mail"));
    if (i % 4 == 1)
        cf_add(ds, o, T_CF_CONTACT, 2, json_object_new_double((double)(h % 1000) / 8.0));
    return o;
}

static void
opp_money(js *o, uint64_t h, uint32_t i)
{
    static const char *const periods[] = {"one_time", "monthly", "annual"};
    if (i % 29 == 7)
        js_add(o, "value", NULL);
    else
        js_addi(o, "value", i % 31 == 5 ? 0 : (int64_t)(h % 2000) * 12500 + (int64_t)(h % 3));
    js_adds(o, "value_period", periods[(h >> 16) % 3]);
    js_addi(o, "confidence", (int64_t)((h >> 24) % 21) * 5);
}

static js *
gen_opp(struct st_dataset *ds, const struct st_row *row)
{
    uint64_t h = st_mix(st_row_seed(ds, T_OPP, row->gen) + 1);
    uint32_t i = row->gen, c = st_gen_contact_of(ds, row->lead, h);
    const struct st_row *status = &ds->t[T_OSTATUS].rows[(h >> 32) % 7];
    const char *type = js_str(status->obj, "type");
    char day[16], gone[56];
    js *o = json_object_new_object();
    js_adds(o, "id", row->id);
    js_adds(o, "lead_id", row->lead == ST_NONE ? NULL : ds->t[T_LEAD].rows[row->lead].id);
    js_adds(o, "contact_id", c == ST_NONE || i % 3 == 0 ? NULL : ds->t[T_CONTACT].rows[c].id);
    js_adds(o, "user_id", some_user(ds, h >> 5, gone));
    js_adds(o, "status_id", status->id);
    opp_money(o, h, i);
    st_time_date(row->updated, day);
    bool won = type && strcmp(type, "won") == 0, lost = type && strcmp(type, "lost") == 0;
    if (!won && !lost && i % 2)
        st_time_date(row->updated + 60 * ST_DAY, day);
    js_adds(o, "date_won", won || (!lost && i % 2) ? day : NULL);
    if (lost)
        st_stamp(o, "date_lost", row->updated, false);
    else
        js_adds(o, "date_lost", NULL);
    if (i % 4 == 0) {
        js_adds(o, "note", "");
        js_adds(o, "note_html", "");
    } else {
        js_addf(o, "note", "renewal of %s", st_word(h));
        js_addf(o, "note_html", "<body><p>renewal of %s</p></body>", st_word(h));
    }
    js_add(o, "attachments", json_object_new_array());
    js_add(o, "integration_links", json_object_new_array());
    if (i % 5)
        js_addb(o, "is_stalled", i % 10 == 3);
    st_common(ds, o, row, false);
    if (i % 3 == 0)
        cf_add(ds, o, T_CF_OPP, 0, js_new_str(h % 2 ? "Commit" : "Best Case"));
    if (i % 4 == 0) {
        cf_date(day, h);
        cf_add(ds, o, T_CF_OPP, 1, js_new_str(day));
    }
    if (i % 5 == 0)
        cf_add(ds, o, T_CF_OPP, 2, json_object_new_double(12.5));
    return o;
}

static void
task_details(js *o, uint8_t kind, uint64_t h)
{
    if (kind == 1 || kind == 4 || kind == 5 || kind == 6) {
        js_addf(o, "phone", "+468%u", (unsigned)(h % 900000) + 100000);
        js_adds(o, "phone_formatted", "+46 8 123 456");
        js_adds(o, "phone_number_description", kind == 1 ? NULL : "Stockholm");
    }
    if (kind == 5)
        js_adds(o, "recording_url", "https://app.close.com/go/call/1/recording/");
    if (kind == 6) {
        js_adds(o, "voicemail_url", "https://app.close.com/go/call/2/voicemail/");
        js_addi(o, "voicemail_duration", (int64_t)(h % 60));
    }
    if (kind == 2 || kind == 3) {
        js_adds(o, "subject", "Re: offer");
        js_adds(o, "body_preview", "Thank you for the offer");
    }
    if (kind == 2)
        js_add(o, "emails", json_object_new_array());
    if (kind == 7) {
        js_adds(o, "opportunity_note", "renewal");
        js_addi(o, "opportunity_value", (int64_t)(h % 1000) * 100);
        js_adds(o, "opportunity_value_currency", "EUR");
        js_adds(o, "opportunity_value_formatted", "€1,000");
        js_adds(o, "opportunity_value_period", "one_time");
    }
    if (kind == 8) {
        js_adds(o, "remote_phone", "+468765432");
        js_adds(o, "local_phone", "+4681234500");
        js_add(o, "attachments", json_object_new_array());
    }
}

static js *
gen_task(struct st_dataset *ds, const struct st_row *row)
{
    static const char *const types[] = {
        "lead",           "outgoing_call",   "incoming_email",
        "email_followup", "missed_call",     "answered_detached_call",
        "voicemail",      "opportunity_due", "incoming_sms"};
    uint64_t h = st_mix(st_row_seed(ds, T_TASK, row->gen) + 1);
    uint32_t i = row->gen, c = st_gen_contact_of(ds, row->lead, h);
    char day[16], gone[56];
    js *o = json_object_new_object();
    js_adds(o, "id", row->id);
    js_adds(o, "_type", types[row->kind]);
    if (row->kind <= 1)
        js_addf(o, "text", "Call %s about the offer", st_word(h));
    int64_t due = row->created + (int64_t)(h % 60) * ST_DAY;
    st_time_date(due, day);
    if (i % 9 == 8) {
        js_adds(o, "date", NULL);
        js_addb(o, "is_dateless", true);
    } else if (i % 4 == 3)
        st_stamp(o, "date", due, false);
    else
        js_adds(o, "date", day);
    js_addb(o, "is_complete", h % 3 == 0);
    if (i % 6 == 0)
        js_adds(o, "priority", i % 12 ? "high" : "medium");
    js_adds(o, "lead_id", row->lead == ST_NONE ? NULL : ds->t[T_LEAD].rows[row->lead].id);
    js_adds(o, "contact_id",
            c == ST_NONE || (row->kind != 1 && i % 2) ? NULL : ds->t[T_CONTACT].rows[c].id);
    js_adds(o, "assigned_to", some_user(ds, h >> 6, gone));
    js_adds(o, "object_id", NULL);
    js_adds(o, "object_type", NULL);
    task_details(o, row->kind, h);
    st_common(ds, o, row, false);
    if (row->kind > 1)
        js_adds(o, "created_by", NULL);
    return o;
}

js *
st_gen_object(struct st_dataset *ds, enum st_tab t, const struct st_row *row)
{
    switch (t) {
    case T_LEAD:
        return gen_lead(ds, row);
    case T_CONTACT:
        return gen_contact(ds, row);
    case T_OPP:
        return gen_opp(ds, row);
    case T_TASK:
        return gen_task(ds, row);
    case T_ACTIVITY:
        return st_gen_activity(ds, row);
    default:
        return st_gen_minor(ds, t, row);
    }
}
