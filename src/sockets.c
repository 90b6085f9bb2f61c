/*
 * sockets.c - which sockets libcurl works on, and which of them are ready.
 *
 * curl_multi_perform moves every transfer that can move. When the eight pages of a window have arrived
 * together it unpacks them all before the first row of the first one is handed out, and until then nobody asks
 * for the pages after them: the service idles while we work, and then we wait for it. So http.c moves the
 * transfers of one ready socket after the other and stops when it has unpacked enough for now. What it left stays
 * in the kernel and is ready the next time. This file is the list of sockets which that takes.
 *
 * In turn. A look begins where the one before it stopped, so that no socket waits forever. Connections are
 * taken and given back in the order in which pages are asked for, and so this is about the order in which
 * pages are needed.
 *
 * Memory is had before it is needed (clo_sockets_reserve): inside of libcurl's callback there is no way to
 * fail that does not break the multi handle for good.
 *
 * Rejected: CURL_WRITEFUNC_PAUSE (libcurl unpacks what it has read all the same, into memory of its own);
 * timers of libcurl by callback (curl_multi_timeout says the same when asked, and cannot get lost).
 */
#include "http.h"

#include <string.h>

/* Two addresses are tried at a time, and a resolver has a socket to say that it is ready. */
enum { PER_TRANSFER = 3, SPARE = 8 };

static struct pollfd *
find(clo_sockets *s, curl_socket_t fd)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->list[i].fd == fd)
            return &s->list[i];
    return NULL;
}

static void
forget(clo_sockets *s, struct pollfd *p)
{
    size_t i = (size_t)(p - s->list);

    memmove(p, p + 1, (--s->n - i) * sizeof *p);
    if (s->at > i)
        s->at--;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    clo_sockets *s = arg;
    struct pollfd *p = find(s, fd);

    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (p != NULL)
            forget(s, p);
        return 0;
    }
    if (p == NULL && s->n == s->cap) {
        s->overflowed = true;
        return 0;
    }
    if (p == NULL) {
        p = &s->list[s->n++];
        *p = (struct pollfd){.fd = fd};
    }
    p->events = (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
    return 0;
}

CURLMcode
clo_sockets_watch(clo_sockets *s, CURLM *multi)
{
    CURLMcode rc = curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, (void *)s);

    return rc == CURLM_OK ? curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) : rc;
}

bool
clo_sockets_reserve(clo_sockets *s, int transfers)
{
    size_t need = (size_t)transfers * PER_TRANSFER + SPARE;
    struct pollfd *list;

    if (need <= s->cap)
        return true;
    need += need / 2;
    list = clo_realloc(s->list, need * sizeof *list);
    if (list == NULL)
        return false;
    s->list = list;
    s->cap = need;
    return true;
}

bool
clo_sockets_wait(clo_sockets *s, int wait_ms)
{
    if (poll(s->list, (nfds_t)s->n, wait_ms) > 0)
        return true;
    for (size_t i = 0; i < s->n; i++)
        s->list[i].revents = 0; /* a wait that a signal ended leaves them as they were */
    return false;
}

void
clo_sockets_suspect(clo_sockets *s)
{
    for (size_t i = 0; i < s->n; i++)
        s->list[i].revents = (short)(s->list[i].revents | (s->list[i].events & POLLIN));
}

curl_socket_t
clo_sockets_next(clo_sockets *s, int *what)
{
    for (size_t tries = s->n; tries > 0; tries--) {
        struct pollfd *p = &s->list[s->at < s->n ? s->at : 0];

        s->at = (size_t)(p - s->list) + 1;
        if (p->revents != 0) {
            *what = p->revents == POLLIN    ? CURL_CSELECT_IN
                    : p->revents == POLLOUT ? CURL_CSELECT_OUT
                                            : 0;
            p->revents = 0;
            return p->fd;
        }
    }
    return CURL_SOCKET_BAD;
}

void
clo_sockets_free(clo_sockets *s)
{
    clo_free(s->list);
}
