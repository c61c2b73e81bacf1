#include "fail.h"

#include <stdio.h>
#include <string.h>

int fail(int status, const char *what, const char *why)
{
    fprintf(stderr, "http-client: %s: %s\n", what, why);
    return status;
}

int fail_call(int status, const char *call, const char *detail, int error)
{
    fprintf(stderr, "http-client: %s(%s): %s\n", call, detail, strerror(error));
    return status;
}

_Noreturn void usage_error(const char *what, const char *value)
{
    fprintf(stderr, "http-client: %s: '%s'\n", what, value);
    exit(EXIT_USAGE);
}
