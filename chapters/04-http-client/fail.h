/* fail: one line on standard error for what went wrong, and the exit status that says so to a script. */
#ifndef FAIL_H
#define FAIL_H

#include <stdlib.h>

/* What a script can tell by $?, beside EXIT_SUCCESS and EXIT_FAILURE. */
enum {
    EXIT_USAGE = 2,
    EXIT_TIMED_OUT = 3,
    EXIT_UNREACHABLE = 4, /* no such name, or nobody there */
    EXIT_RESPONSE = 5,    /* malformed, cut short, or a redirect to where this client cannot go */
    EXIT_REDIRECTS = 6,   /* too many of them */
    EXIT_STATUS = 7,      /* a status of 400 or more; the body has been delivered all the same */
};

/* Prints the one line that says what was wrong with what. Returns STATUS, for callers to return. */
int fail(int status, const char *what, const char *why);

/* As fail, for a call that failed. */
int fail_call(int status, const char *call, const char *detail, int error);

_Noreturn void usage_error(const char *what, const char *value);

#endif
