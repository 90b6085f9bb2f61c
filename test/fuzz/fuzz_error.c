/*
 * fuzz_error.c - any bytes as the body of a failed answer: classification must always end in a class
 * with a message, whatever the shape.
 *
 * Byte 0 chooses the status, bit 0 of byte 1 the proxy's face, bit 1 a write.
 */
#include "clo_int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {400, 401, 402, 403, 404, 405, 409, 415, 422,
                                   429, 500, 501, 502, 503, 504, 200, 302};
    clo_http_res res;
    clo_json *body;
    clo_err err, ignored;
    bool bearer = false;

    if (size < 2)
        return 0;
    memset(&res, 0, sizeof res);
    res.status = statuses[data[0] % CLO_ARRAY_LEN(statuses)];
    res.retry_after_ms = res.ratelimit_reset_ms = -1;
    clo_buf_init(&res.body, size + 1);
    if (!clo_buf_add(&res.body, data + 2, size - 2))
        return 0;
    clo_err_clear(&err);
    clo_err_clear(&ignored);
    body = clo_json_parse(res.body.data, res.body.len, "answer", &ignored);
    if (clo_classify(&res, body, data[1] & 1, "close_lead_get", (data[1] & 2) != 0, &err,
                     &bearer)) {
        if (err.code == CLO_E_NONE || err.msg[0] == '\0' ||
            !clo_utf8_ok(err.msg, strlen(err.msg)) || !clo_utf8_ok(err.detail, strlen(err.detail)))
            __builtin_trap();
    }
    clo_json_free(body);
    clo_buf_free(&res.body);
    return 0;
}
