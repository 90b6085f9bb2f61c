/*
 * http.h - what the files behind clo_http_* of clo_int.h share. Nobody else includes it.
 *
 *   http.c      transfers: their options, their locks, how they end
 *   headers.c   what the headers of an answer say
 *   sockets.c   which sockets libcurl works on, and which of them are ready
 */
#ifndef CLO_HTTP_H
#define CLO_HTTP_H

#include "clo_int.h"

#include <poll.h>

#include <curl/curl.h>

/* ---- headers.c --------------------------------------------------------------------------------- */
/* A new status line: what an interim answer (1xx) said no longer counts. */
void clo_headers_reset(clo_http_res *res);
/* Notes what the line says; it is n bytes long and need not end with NUL. */
void clo_headers_take(clo_http_res *res, const char *line, size_t n);

/* ---- sockets.c --------------------------------------------------------------------------------- */
typedef struct clo_sockets {
    struct pollfd *list; /* revents: ready, and not handed out since the last wait */
    size_t n, cap;
    size_t at;       /* where clo_sockets_next goes on */
    bool overflowed; /* libcurl named more than there was room for; one of them is not watched */
} clo_sockets;

/* From now on libcurl tells `s`, which must stay where it is, about the sockets of this multi handle. */
CURLMcode clo_sockets_watch(clo_sockets *s, CURLM *multi);
/* Room for what `transfers` at a time can open. False: no memory. */
bool clo_sockets_reserve(clo_sockets *s, int transfers);
/* Waits until one is ready, a signal comes, or wait_ms have gone by; returns whether one is. */
bool clo_sockets_wait(clo_sockets *s, int wait_ms);
/* All that libcurl reads from count as ready. */
void clo_sockets_suspect(clo_sockets *s);
/* One that was ready at the last wait, each once; CURL_SOCKET_BAD: no more. *what: CURL_CSELECT_IN or _OUT where it
 * is ready for that alone, otherwise 0, and libcurl has to look. */
curl_socket_t clo_sockets_next(clo_sockets *s, int *what);
/* Only after the multi handle is gone. */
void clo_sockets_free(clo_sockets *s);

#endif
