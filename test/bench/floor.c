/*
 * The floor under every way of reading the CRM: download the same answers, parse them, forget them.
 *
 * Nothing that turns an answer into rows can be cheaper than fetching it with libcurl and parsing it
 * with json-c, so the benchmark holds both hosts against this program: in time (one call at a time,
 * or a window of them), in instructions (under callgrind), and, for a single function call, in the
 * time that a bare libcurl call takes.
 *
 *      floor pages TOOL COUNT SIZE WINDOW [FIELDS]   COUNT pages of SIZE rows
 *      floor gets TOOL PARAMETER [new]               one call per line of standard input, in a row;
 *                                                    new: each on a new connection
 *
 * The environment gives FLOOR_URL, FLOOR_TOKEN (a bearer token: fetching it is not measured) and, for
 * https, FLOOR_CA (the authority to trust). A call to close_me_get comes first and is not measured
 * either, so that all contenders begin with one open connection; it counts among the connections,
 * though. The only output is a line of JSON.
 *
 * It shares no code with the core on purpose, and knows nothing that a client has to find out: the
 * number of pages is told, errors end it, nothing is retried. A page's buffer belongs to its slot
 * and is reused; whatever is left at the end goes with the process.
 */
#include <curl/curl.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define WINDOW_MAX 64

/* One call at a time. */
struct slot {
    CURL *easy;
    char *body;
    size_t len, cap;
    char request[1024];
};

struct floor_run {
    char url[512];
    struct curl_slist *headers;
    const char *tool, *fields;
    const char *authority; /* NULL: the system's */
    bool forget;           /* close the connection after each call */
    long size;
    long rows, calls, connections;
    size_t bytes;
};

static void
die(const char *what, const char *why)
{
    fprintf(stderr, "floor: %s: %s\n", what, why);
    exit(1);
}

static double
now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static long
number(const char *text, const char *what, long max)
{
    char *end = NULL;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 1 || n > max)
        die(what, text);
    return n;
}

static size_t
collect(char *data, size_t one, size_t n, void *arg)
{
    struct slot *s = arg;
    n *= one;
    if (s->len + n + 1 > s->cap) {
        s->cap = (s->len + n + 1) * 2;
        s->body = realloc(s->body, s->cap);
        if (s->body == NULL)
            die("memory", "none left");
    }
    memcpy(s->body + s->len, data, n);
    s->len += n;
    s->body[s->len] = '\0';
    return n;
}

static void
slot_init(struct floor_run *run, struct slot *s)
{
    memset(s, 0, sizeof *s);
    s->easy = curl_easy_init();
    if (s->easy == NULL)
        die("curl", "no handle");
    curl_easy_setopt(s->easy, CURLOPT_URL, run->url);
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, run->headers);
    curl_easy_setopt(s->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    curl_easy_setopt(s->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(s->easy, CURLOPT_FORBID_REUSE, run->forget ? 1L : 0L);
    if (run->authority != NULL)
        curl_easy_setopt(s->easy, CURLOPT_CAINFO, run->authority);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
}

/* Makes `s` ready to call `tool` with `params`, the inside of a JSON object. */
static void
slot_call(struct slot *s, const char *tool, const char *params)
{
    int n = snprintf(s->request, sizeof s->request,
                     "{\"tool_name\":\"%s\",\"connector\":\"close\",\"identifier\":\"user_demo\","
                     "\"params\":{%s}}",
                     tool, params);
    if (n < 0 || (size_t)n >= sizeof s->request)
        die("request", "too long");
    s->len = 0;
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->request);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE, (long)n);
}

static void
slot_page(struct floor_run *run, struct slot *s, long page)
{
    char params[512];
    int n = snprintf(params, sizeof params, "\"_limit\":%ld,\"_skip\":%ld%s%s%s", run->size,
                     page * run->size, run->fields ? ",\"_fields\":\"" : "",
                     run->fields ? run->fields : "", run->fields ? "\"" : "");
    if (n < 0 || (size_t)n >= sizeof params)
        die("fields", "too long");
    slot_call(s, run->tool, params);
}

static void
slot_answered(struct floor_run *run, struct slot *s, CURLcode rc)
{
    long status = 0, connections = 0;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(s->easy, CURLINFO_NUM_CONNECTS, &connections);
    if (rc != CURLE_OK || status != 200)
        die(rc != CURLE_OK ? curl_easy_strerror(rc) : "status", s->len ? s->body : "no body");
    run->calls++;
    run->connections += connections;
    run->bytes += s->len;
}

static void
parse(struct floor_run *run, struct slot *s)
{
    struct json_object *answer = json_tokener_parse(s->body), *data, *rows;
    if (answer == NULL || !json_object_object_get_ex(answer, "data", &data) ||
        !json_object_object_get_ex(data, "data", &rows) ||
        !json_object_is_type(rows, json_type_array))
        die("answer without rows", s->body);
    run->rows += (long)json_object_array_length(rows);
    json_object_put(answer);
}

static void
read_serially(struct floor_run *run, struct slot *s, long pages)
{
    for (long page = 0; page < pages; page++) {
        slot_page(run, s, page);
        slot_answered(run, s, curl_easy_perform(s->easy));
        parse(run, s);
    }
}

static void
read_windowed(struct floor_run *run, struct slot *slots, long window, long pages)
{
    CURLM *multi = curl_multi_init();
    long next = 0, flying = 0;
    for (; next < pages && next < window; next++, flying++) {
        slot_page(run, &slots[next], next);
        curl_multi_add_handle(multi, slots[next].easy);
    }
    while (flying > 0) {
        int running = 0, queued = 0;
        curl_multi_perform(multi, &running);
        for (CURLMsg *m; (m = curl_multi_info_read(multi, &queued)) != NULL;) {
            struct slot *s = NULL;
            CURL *easy = m->easy_handle;
            CURLcode rc = m->data.result;
            curl_easy_getinfo(easy, CURLINFO_PRIVATE, &s);
            curl_multi_remove_handle(multi, easy);
            slot_answered(run, s, rc);
            parse(run, s);
            flying--;
            if (next < pages) {
                slot_page(run, s, next++);
                curl_multi_add_handle(multi, easy);
                flying++;
            }
        }
        if (running > 0)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    curl_multi_cleanup(multi);
}

static void
get_each(struct floor_run *run, struct slot *s, const char *param)
{
    char line[256], params[512];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(params, sizeof params, "\"%s\":\"%s\"", param, line);
        slot_call(s, run->tool, params);
        slot_answered(run, s, curl_easy_perform(s->easy));
        run->rows++;
    }
}

static void
prepare(struct floor_run *run, struct slot *slots, long window)
{
    const char *url = getenv("FLOOR_URL"), *token = getenv("FLOOR_TOKEN");
    if (url == NULL || token == NULL)
        die("environment", "FLOOR_URL and FLOOR_TOKEN are needed");
    char header[4096];
    if (snprintf(run->url, sizeof run->url, "%s/api/v1/execute_tool", url) >=
            (int)sizeof run->url ||
        snprintf(header, sizeof header, "Authorization: Bearer %s", token) >= (int)sizeof header)
        die("environment", "too long");
    run->authority = getenv("FLOOR_CA");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    run->headers = curl_slist_append(NULL, header);
    run->headers = curl_slist_append(run->headers, "Content-Type: application/json");
    for (long i = 0; i < window; i++)
        slot_init(run, &slots[i]);
    slot_call(&slots[0], "close_me_get", "");
    slot_answered(run, &slots[0], curl_easy_perform(slots[0].easy));
    run->calls = 0;
    run->bytes = 0;
}

int
main(int argc, char **argv)
{
    static struct slot slots[WINDOW_MAX];
    struct floor_run run = {0};
    bool pages = argc >= 6 && strcmp(argv[1], "pages") == 0;
    run.forget = !pages && argc == 5 && strcmp(argv[4], "new") == 0;
    if (!pages && !((argc == 4 || run.forget) && strcmp(argv[1], "gets") == 0))
        die("usage",
            "floor pages TOOL COUNT SIZE WINDOW [FIELDS] | floor gets TOOL PARAMETER [new]");
    long window = pages ? number(argv[5], "window", WINDOW_MAX) : 1;
    long count = pages ? number(argv[3], "count", 1000000) : 0;
    run.tool = argv[2];
    run.size = pages ? number(argv[4], "size", 100000) : 0;
    run.fields = argc > 6 ? argv[6] : NULL;
    prepare(&run, slots, window);

    double wall = now_ms(CLOCK_MONOTONIC), cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    if (!pages)
        get_each(&run, &slots[0], argv[3]);
    else if (window == 1)
        read_serially(&run, &slots[0], count);
    else
        read_windowed(&run, slots, window, count);
    wall = now_ms(CLOCK_MONOTONIC) - wall;
    cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;

    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("{\"ms\":%.3f,\"cpu_ms\":%.3f,\"rows\":%ld,\"bytes\":%zu,\"connections\":%ld,"
           "\"peak_kb\":%ld}\n",
           wall, cpu, run.rows, run.bytes, run.connections, use.ru_maxrss);
    return 0;
}
