/*
 * Command line, start and end of the stand-in service.
 *
 * Signals are blocked in every thread and read from a descriptor by the main thread, which waits
 * for them and, with --exit-with-stdin, for the end of its standard input: a test that dies takes
 * its server with it. The first line on standard output says where it listens.
 */
#include "standin.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: close-standin [options]\n"
    "  --port N             listen on 127.0.0.1:N (default: a free port)\n"
    "  --leads N            size of the data (default 100)\n"
    "  --seed N             another data set of the same size\n"
    "  --latency-ms N       every answer is late by this much\n"
    "  --skip-cap N         largest _skip of the lead list (default 35000)\n"
    "  --search-delay-ms N  new leads are invisible to query for so long\n"
    "  --delete-lag-ms N    deleted leads can be read and listed for so long\n"
    "  --page-cap TABLE=N   largest _limit of a list\n"
    "  --rate N             requests per second per verb and resource (default: no limit)\n"
    "  --expires-in N       lifetime of tokens in seconds (default 86399)\n"
    "  --client-id ID       default skc_demo\n"
    "  --client-secret S    default demo-secret\n"
    "  --connection NAME    default close\n"
    "  --identifier ID      default user_demo\n"
    "  --second-identifier ID   another account with data of its own\n"
    "  --log FILE           one JSON line per request\n"
    "  --exit-with-stdin    end when standard input is closed\n"
    "  --tools              print `tool parameter type required` lines and end\n";

enum {
    O_PORT = 256,
    O_LEADS,
    O_SEED,
    O_LATENCY,
    O_SKIP,
    O_SEARCH,
    O_DELETE,
    O_PAGE,
    O_RATE,
    O_EXPIRES,
    O_CLIENT,
    O_SECRET,
    O_CONNECTION,
    O_IDENT,
    O_SECOND,
    O_LOG,
    O_STDIN,
    O_TOOLS,
    O_HELP,
};

static const struct option options[] = {{"port", 1, NULL, O_PORT},
                                        {"leads", 1, NULL, O_LEADS},
                                        {"seed", 1, NULL, O_SEED},
                                        {"latency-ms", 1, NULL, O_LATENCY},
                                        {"skip-cap", 1, NULL, O_SKIP},
                                        {"search-delay-ms", 1, NULL, O_SEARCH},
                                        {"delete-lag-ms", 1, NULL, O_DELETE},
                                        {"page-cap", 1, NULL, O_PAGE},
                                        {"rate", 1, NULL, O_RATE},
                                        {"expires-in", 1, NULL, O_EXPIRES},
                                        {"client-id", 1, NULL, O_CLIENT},
                                        {"client-secret", 1, NULL, O_SECRET},
                                        {"connection", 1, NULL, O_CONNECTION},
                                        {"identifier", 1, NULL, O_IDENT},
                                        {"second-identifier", 1, NULL, O_SECOND},
                                        {"log", 1, NULL, O_LOG},
                                        {"exit-with-stdin", 0, NULL, O_STDIN},
                                        {"tools", 0, NULL, O_TOOLS},
                                        {"help", 0, NULL, O_HELP},
                                        {NULL, 0, NULL, 0}};

static bool
number(const char *s, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || !*s || *end || v < min || v > max) {
        fprintf(stderr, "close-standin: '%s' is not a number from %lld to %lld\n", s,
                (long long)min, (long long)max);
        return false;
    }
    *out = v;
    return true;
}

static bool
page_cap(struct st_config *c, const char *text)
{
    char name[80];
    int64_t n;
    const char *eq = strchr(text, '=');
    if (!eq || (size_t)(eq - text) >= sizeof name) {
        fprintf(stderr, "close-standin: --page-cap wants TABLE=N, not '%s'\n", text);
        return false;
    }
    snprintf(name, sizeof name, "%.*s", (int)(eq - text), text);
    if (!number(eq + 1, 1, 1000000, &n))
        return false;
    js_addi(c->page_caps, name, n);
    return true;
}

static void
print_tools(void)
{
    static const char *const types[] = {"string", "integer", "boolean", "object", "array"};
    size_t n;
    const struct st_tool *all = st_tools(&n);
    for (size_t i = 0; i < n; i++) {
        if (!all[i].n_params)
            printf("%s\n", all[i].name);
        for (size_t k = 0; k < all[i].n_params; k++)
            printf("%s %s %s %s\n", all[i].name, all[i].params[k].name,
                   types[all[i].params[k].type],
                   all[i].params[k].required ? "required" : "optional");
    }
}

static bool
text_option(char *to, size_t cap, const char *value)
{
    if (strlen(value) >= cap || !*value) {
        fprintf(stderr, "close-standin: value is empty or too long: '%.40s'\n", value);
        return false;
    }
    memcpy(to, value, strlen(value) + 1);
    return true;
}

static bool
one_option(struct st_app *app, int opt, const char *v)
{
    struct st_config *c = &app->start;
    int64_t n = 0;
    bool ok = true;
    switch (opt) {
    case O_PORT:
        ok = number(v, 0, 65535, &n);
        c->port = (uint16_t)n;
        return ok;
    case O_LEADS:
        ok = number(v, 0, 5000000, &n);
        c->leads = (uint32_t)n;
        return ok;
    case O_SEED:
        ok = number(v, 0, INT64_MAX, &n);
        c->seed = (uint64_t)n;
        return ok;
    case O_LATENCY:
        return number(v, 0, 600000, &c->latency_ms);
    case O_SKIP:
        return number(v, 0, INT32_MAX, &c->skip_cap);
    case O_SEARCH:
        return number(v, 0, 600000, &c->search_delay_ms);
    case O_DELETE:
        return number(v, 0, 600000, &c->delete_lag_ms);
    case O_PAGE:
        return page_cap(c, v);
    case O_RATE:
        return number(v, 0, 1000000, &c->rate);
    case O_EXPIRES:
        return number(v, 1, 10000000, &c->expires_in);
    case O_CLIENT:
        return text_option(c->client_id, sizeof c->client_id, v);
    case O_SECRET:
        return text_option(c->client_secret, sizeof c->client_secret, v);
    case O_CONNECTION:
        return text_option(c->connection, sizeof c->connection, v);
    case O_IDENT:
        return text_option(app->accounts[0].identifier, sizeof app->accounts[0].identifier, v);
    case O_SECOND:
        app->n_accounts = 2;
        return text_option(app->accounts[1].identifier, sizeof app->accounts[1].identifier, v);
    case O_LOG:
        return text_option(c->log_file, sizeof c->log_file, v);
    case O_STDIN:
        c->exit_with_stdin = true;
        return true;
    default:
        return false;
    }
}

/* 0 = go on, else the exit status + 1. */
static int
read_options(struct st_app *app, int argc, char **argv)
{
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == O_TOOLS) {
            print_tools();
            return 1;
        }
        if (opt == O_HELP) {
            fputs(usage_text, stdout);
            return 1;
        }
        if (opt == '?' || !one_option(app, opt, optarg))
            return 3;
    }
    if (optind < argc) {
        fprintf(stderr, "close-standin: unexpected argument '%s'\n", argv[optind]);
        return 3;
    }
    return 0;
}

static void
defaults(struct st_app *app)
{
    struct st_config *c = &app->start;
    c->leads = 100;
    c->seed = 1;
    c->skip_cap = c->other_skip_cap = -1;
    c->expires_in = 86399;
    c->proxy = true;
    c->page_caps = json_object_new_object();
    snprintf(c->client_id, sizeof c->client_id, "skc_demo");
    snprintf(c->client_secret, sizeof c->client_secret, "demo-secret");
    snprintf(c->connection, sizeof c->connection, "close");
    app->n_accounts = 1;
    snprintf(app->accounts[0].identifier, sizeof app->accounts[0].identifier, "user_demo");
    snprintf(app->accounts[0].id, sizeof app->accounts[0].id, "ca_1001");
    snprintf(app->accounts[1].id, sizeof app->accounts[1].id, "ca_1002");
    app->tokens = json_object_new_object();
    app->log = json_object_new_array();
    app->kept = st_kept_new();
    app->log_first = 1;
    app->execution = 135800;
}

static void
wait_for_end(bool with_stdin, int sig)
{
    struct pollfd p[2] = {{.fd = sig, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    for (;;) {
        if (poll(p, with_stdin ? 2 : 1, -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents)
            return;
        char buf[256];
        if (with_stdin && p[1].revents && read(0, buf, sizeof buf) <= 0)
            return;
    }
}

static void
app_free(struct st_app *app)
{
    for (int i = 0; i < app->n_accounts; i++)
        st_dataset_free(app->accounts[i].ds);
    json_object_put(app->start.page_caps);
    json_object_put(app->cfg.page_caps);
    st_kept_free(app->kept);
    json_object_put(app->tokens);
    json_object_put(app->faults);
    json_object_put(app->released);
    json_object_put(app->mutations);
    json_object_put(app->log);
    if (app->log_out)
        fclose(app->log_out);
    pthread_mutex_destroy(&app->lock);
    free(app);
}

int
main(int argc, char **argv)
{
    struct st_app *app = st_alloc(sizeof *app);
    sigset_t set;
    defaults(app);
    int rc = read_options(app, argc, argv);
    if (rc) {
        app_free(app);
        return rc - 1;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int sig = signalfd(-1, &set, SFD_CLOEXEC);
    pthread_mutex_init(&app->lock, NULL);
    if (*app->start.log_file && !(app->log_out = fopen(app->start.log_file, "ae"))) {
        fprintf(stderr, "close-standin: cannot open %s: %s\n", app->start.log_file,
                strerror(errno));
        return 1;
    }
    st_reset(app);
    uint16_t port = app->start.port;
    struct st_http *http = st_http_start(app, &port);
    if (!http) {
        fprintf(stderr, "close-standin: cannot listen on port %u\n", app->start.port);
        app_free(app);
        return 1;
    }
    printf("listening on http://127.0.0.1:%u\n", port);
    fflush(stdout);
    wait_for_end(app->start.exit_with_stdin, sig);
    st_http_stop(http);
    close(sig);
    app_free(app);
    return 0;
}
