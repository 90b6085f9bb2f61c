/*
 * fuzz_config.c - any text as settings ("name=value" lines): never a crash, and what was accepted is
 * what is shown, except secrets, which never are.
 */
#include "clo_int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    clo_err err;
    clo_client *client = clo_client_new(&err);
    char *copy = clo_strndup((const char *)data, size), *line, *shown;

    for (line = copy; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n'), *eq;
        if (end != NULL)
            *end++ = '\0';
        eq = strchr(line, '=');
        if (eq != NULL) {
            *eq++ = '\0';
            (void)!clo_client_set(client, line, eq, CLO_FROM_SESSION, &err);
        }
        line = end;
    }
    shown = clo_client_settings(client, &err);
    if (shown == NULL || strcmp(clo_client_setting(client, "client_secret") != NULL
                                    ? clo_client_setting(client, "client_secret")
                                    : "***",
                                "***") != 0)
        __builtin_trap();
    clo_free(shown);
    clo_free(copy);
    clo_client_unref(client);
    return 0;
}
