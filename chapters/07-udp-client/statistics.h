/* statistics: what has become of the messages, and how long their answers took. */
#ifndef STATISTICS_H
#define STATISTICS_H

#include <stdint.h>

struct statistics {
    unsigned long messages;
    unsigned long sent;     /* datagrams: every transmission that the kernel took */
    unsigned long answered; /* messages */
    unsigned long lost;     /* messages */
    unsigned long late;     /* answers to what had been answered already, or given up */
    unsigned long strange;  /* datagrams that are no answer to anything */
    int64_t shortest_ns;    /* of the round trips; so is the rest */
    int64_t longest_ns;
    int64_t sum_ns;
};

/* Takes note of an answer that took so long. */
void statistics_answer(struct statistics *statistics, int64_t round_trip_ns);

/* Prints the summary on standard output. Returns 0, or -errno if it, or what was printed before it, cannot be
 * written. */
int statistics_print(const struct statistics *statistics);

#endif
