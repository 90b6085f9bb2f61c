/*
 * fuzz_time.c - any text as a timestamp or date: what is accepted must survive formatting and
 * parsing again unchanged.
 */
#include "clo_int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t us, again;
    int32_t days, days_again;
    char text[32], date[16];

    if (clo_time_parse((const char *)data, size, &us)) {
        clo_time_format(us, text);
        if (!clo_time_parse(text, strlen(text), &again) || again != us)
            __builtin_trap();
    }
    if (clo_date_parse((const char *)data, size, &days)) {
        clo_date_format(days, date);
        if (!clo_date_parse(date, strlen(date), &days_again) || days_again != days)
            __builtin_trap();
    }
    return 0;
}
