#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool report(const char *call, const char *detail, int error)
{
    fprintf(stderr, "%s: %s(%s): %s\n", program_name, call, detail, strerror(error));
    return false;
}

bool give_up(const char *peer, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program_name, peer, why);
    return false;
}

_Noreturn void die(const char *call, const char *detail, int error)
{
    report(call, detail, error);
    exit(EXIT_FAILURE);
}

_Noreturn void usage_error(const char *what, const char *value)
{
    fprintf(stderr, "%s: %s: '%s'\n", program_name, what, value);
    exit(EXIT_USAGE);
}

/* strtol(3) alone would take " 80", "-1", "80x" and "" as well. */
uint16_t parse_port(const char *text)
{
    char *end = NULL;
    errno = 0;
    long port = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || port > UINT16_MAX) {
        usage_error("not a port number from 0 to 65535", text);
    }
    return (uint16_t)port;
}

/* strtod(3) alone would take " 5", "+5", "0x1p2" and "nan" as well. A tiny number would become a timeval of
 * zero, which means "wait for ever". */
struct timeval parse_timeout(const char *text)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    const bool plain = text[strspn(text, "0123456789.")] == '\0';
    if (!plain || end == text || *end != '\0' || seconds < 0.001 || seconds > 86400.0) {
        usage_error("not a number of seconds from 0.001 to 86400", text);
    }
    struct timeval timeout = {.tv_sec = (time_t)seconds};
    timeout.tv_usec = (suseconds_t)((seconds - (double)timeout.tv_sec) * 1e6);
    return timeout;
}
