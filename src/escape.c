/*
 * escape.c - the escapes in JSON strings: from their characters, and as json-c writes them.
 *
 * Texts that pass through to SQL must not depend on who read the answer (json.c says why there are two
 * readers), so what is written here is json-c's form to the byte: short escapes where there are any,
 * other control characters as \u00xx in lower case, and everything else as it is.
 */
#include "view.h"

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The code unit of \uXXXX at p, which is NUL-terminated somewhere; -1: it is none. */
static int
code_unit(const char *p)
{
    int u = 0;

    if (p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int d = hex_digit(p[i]);

        if (d < 0)
            return -1;
        u = u * 16 + d;
    }
    return u;
}

/* One escape at p (a backslash): the character, and the bytes that it takes; -1: none that we know. */
long
clo_escape_get(const char *p, int *used)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *short_form = p[1] != '\0' ? strchr(from, p[1]) : NULL;
    int u, low;

    *used = 2;
    if (short_form != NULL)
        return to[short_form - from];
    u = code_unit(p);
    *used = 6;
    if (u < 0xd800 || u > 0xdfff)
        return u;
    low = u < 0xdc00 ? code_unit(p + 6) : -1;
    *used = 12;
    return low < 0xdc00 || low > 0xdfff ? -1 : 0x10000 + (long)(u - 0xd800) * 0x400 + low - 0xdc00;
}

size_t
clo_escape_utf8(char *out, long c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* A character as json-c writes it inside a string; at most 6 bytes. */
size_t
clo_escape_put(char *out, long c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
    const char *short_form = c > 0 && c < 0x80 ? strchr(from, (int)c) : NULL;

    if (short_form != NULL) {
        out[0] = '\\';
        out[1] = to[short_form - from];
        return 2;
    }
    if (c >= 0x20)
        return clo_escape_utf8(out, c);
    for (size_t i = 0; i < 4; i++)
        out[i] = "\\u00"[i];
    out[4] = hex[(unsigned long)c >> 4 & 15];
    out[5] = hex[(unsigned long)c & 15];
    return 6;
}
