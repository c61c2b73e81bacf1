/* report: one line on standard error for whatever goes wrong, and the values of options that every program
 * has.
 *
 * Chapters 01 and 02 taught this; from chapter 03 on it is given. Every line begins with the program's name.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>

enum { EXIT_USAGE = 2 };

/* The program defines it: `const char program_name[] = "http-parse";` */
extern const char program_name[];

/* Prints which call failed, on what, and why: `name: call(detail): strerror`. ERROR is an errno.
 * Returns false, for callers to return. */
bool report(const char *call, const char *detail, int error);

/* Prints why a conversation ended although no call failed: `name: peer: why`. Returns false likewise. */
bool give_up(const char *peer, const char *why);

/* As report, for an error that the whole program cannot survive: ends it with status 1. */
_Noreturn void die(const char *call, const char *detail, int error);

/* Prints `name: what: 'value'`, and ends the program with status 2. */
_Noreturn void usage_error(const char *what, const char *value);

/* Reads a port number, 0 to 65535, of decimal digits alone; anything else is a usage error. */
uint16_t parse_port(const char *text);

/* Reads a number of seconds from 0.001 to 86400: digits, and a point perhaps; anything else is a usage error.
 */
struct timeval parse_timeout(const char *text);

#endif
