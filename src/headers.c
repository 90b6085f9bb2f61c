/*
 * headers.c - what the lines before an answer say: when to come again, how much is left, what it is.
 *
 * Only what somebody uses is kept, in the clo_http_res. Numbers are read strictly: a value that is not wholly
 * one counts as absent, because a wrong pause is worse than none. No pause is longer than a day.
 */
#include "http.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)

/* A decimal number of seconds as milliseconds; -1 when it is none. At most a day. */
static int64_t
parse_seconds(const char *s, size_t n)
{
    int64_t ms = 0, scale = 1000;
    size_t i = 0, digits = 0;
    for (; i < n && s[i] >= '0' && s[i] <= '9'; i++, digits++)
        ms = ms > DAY_MS ? ms : ms * 10 + (s[i] - '0') * INT64_C(1000);
    if (i < n && s[i] == '.') {
        for (i++; i < n && s[i] >= '0' && s[i] <= '9'; i++, digits++) {
            scale /= 10;
            ms += (s[i] - '0') * scale;
        }
    }
    if (digits == 0 || i != n)
        return -1;
    return ms > DAY_MS ? DAY_MS : ms;
}

static int64_t
parse_retry_after(const char *s, size_t n)
{
    char date[64];
    time_t at;
    int64_t ms = parse_seconds(s, n);
    if (ms >= 0 || n >= sizeof(date))
        return ms;
    memcpy(date, s, n);
    date[n] = 0;
    at = curl_getdate(date, NULL);
    if (at < 0)
        return -1;
    ms = ((int64_t)at - (int64_t)time(NULL)) * 1000;
    return ms < 0 ? 0 : ms > DAY_MS ? DAY_MS : ms;
}

static void
trim(const char **s, size_t *n)
{
    while (*n && ((*s)[0] == ' ' || (*s)[0] == '\t')) {
        (*s)++;
        (*n)--;
    }
    while (*n && strchr(" \t\r\n", (*s)[*n - 1]))
        (*n)--;
}

static bool
is_name(const char *s, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(s, name, n) == 0;
}

/* "limit=100, remaining=50, reset=5", or the later form "name";q=100;r=50;t=5. */
static void
parse_ratelimit(clo_http_res *res, const char *s, size_t n)
{
    while (n) {
        size_t item = 0, eq = 0, value_len;
        const char *key = s, *value;
        while (item < n && s[item] != ',' && s[item] != ';')
            item++;
        while (eq < item && s[eq] != '=')
            eq++;
        if (eq < item) {
            size_t key_len = eq;
            int64_t ms;
            value = s + eq + 1;
            value_len = item - eq - 1;
            trim(&key, &key_len);
            trim(&value, &value_len);
            ms = parse_seconds(value, value_len);
            if (ms >= 0 && (is_name(key, key_len, "reset") || is_name(key, key_len, "t")))
                res->ratelimit_reset_ms = ms;
            else if (ms >= 0 && (is_name(key, key_len, "remaining") || is_name(key, key_len, "r")))
                res->ratelimit_remaining = ms / 1000;
            else if (ms >= 0 && (is_name(key, key_len, "limit") || is_name(key, key_len, "q")))
                res->ratelimit_limit = ms / 1000;
        }
        if (item < n)
            item++;
        s += item;
        n -= item;
    }
}

void
clo_headers_reset(clo_http_res *res)
{
    res->retry_after_ms = -1;
    res->ratelimit_reset_ms = res->ratelimit_limit = res->ratelimit_remaining = -1;
    res->content_type[0] = res->location[0] = res->request_id[0] = 0;
}

void
clo_headers_take(clo_http_res *res, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n), *value;
    size_t name_len, value_len;
    if (!colon) {
        if (n >= 5 && memcmp(line, "HTTP/", 5) == 0)
            clo_headers_reset(res);
        return;
    }
    name_len = (size_t)(colon - line);
    value = colon + 1;
    value_len = n - name_len - 1;
    trim(&value, &value_len);
    if (is_name(line, name_len, "content-type"))
        clo_text_cut(res->content_type, sizeof(res->content_type), value, value_len);
    else if (is_name(line, name_len, "retry-after"))
        res->retry_after_ms = parse_retry_after(value, value_len);
    else if (is_name(line, name_len, "ratelimit"))
        parse_ratelimit(res, value, value_len);
    else if (is_name(line, name_len, "ratelimit-reset") ||
             is_name(line, name_len, "x-rate-limit-reset"))
        res->ratelimit_reset_ms = parse_seconds(value, value_len);
    else if (is_name(line, name_len, "location"))
        clo_text_cut(res->location, sizeof(res->location), "yes", 3);
    else if (is_name(line, name_len, "x-request-id"))
        clo_text_cut(res->request_id, sizeof(res->request_id), value, value_len);
}
