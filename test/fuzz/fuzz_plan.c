/*
 * fuzz_plan.c - any text as a plan of any table: never a crash, and what is accepted is exactly what
 * encoding it gives. The first byte chooses the table.
 */
#include "clo_int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const clo_table *t = clo_table_find("close_leads");
    clo_plan plan;
    clo_err err;
    char *text, *again;

    if (size > 0 && data[0] < clo_table_count()) {
        t = clo_table_at(data[0]);
        data++;
        size--;
    }
    text = clo_strndup((const char *)data, size);
    if (text == NULL)
        return 0;
    if (clo_plan_decode(t, text, &plan, &err) == CLO_OK) {
        again = clo_plan_encode(&plan, &err);
        if (again == NULL || strcmp(again, text) != 0)
            __builtin_trap();
        clo_free(again);
    }
    clo_free(text);
    return 0;
}
