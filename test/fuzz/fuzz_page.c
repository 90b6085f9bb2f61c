/*
 * fuzz_page.c - any bytes as the answer of a list: parsing, conversion to columns and back.
 *
 * The first byte chooses the table. Every delivered value must keep the promises of clo.h: text is
 * terminated and well-formed, timestamps have their fixed width.
 */
#include "clo_int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_row(const clo_table *t, const clo_value *row)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        const clo_value *v = &row[i];
        bool text = v->type == CLO_T_TEXT || v->type == CLO_T_JSON || v->type == CLO_T_TIME ||
                    v->type == CLO_T_DATE;
        if (!text)
            continue;
        if (v->text[v->len] != '\0' || !clo_utf8_ok(v->text, v->len))
            __builtin_trap();
        if (v->type == CLO_T_TIME && v->len != strlen("2024-05-02T09:14:07.318000Z"))
            __builtin_trap();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const clo_table *t;
    clo_colset needed;
    clo_cursor *cur;
    clo_err err;

    if (size == 0)
        return 0;
    t = clo_table_at(data[0] % clo_table_count());
    memset(&needed, 0xff, sizeof needed);
    cur = clo_cursor_of_json(t, &needed, (const char *)data + 1, size - 1, &err);
    if (cur == NULL)
        return 0;
    while (clo_cursor_step(cur, 0, &err) == CLO_ROW)
        check_row(t, clo_cursor_row(cur));
    clo_cursor_free(cur);
    return 0;
}
