/* fuzz: what the fuzz targets of all chapters share.
 *
 * A target includes the sources that it fuzzes, so this is a header and no source: nothing has to be linked.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the run, so that the fuzzer keeps its input. An assert(3) could be compiled away. Never
 * inlined, so that a trace shows the line that called it. */
__attribute__((noinline)) static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "ERROR: this does not hold: %s\n", what);
        abort();
    }
}

/* How many bytes the next read brings at most, of LEFT > 0 that have not come yet and begin at NEXT. */
typedef size_t cut_function(const char *next, size_t left);

static inline size_t cut_nowhere(const char *next, size_t left)
{
    (void)next;
    return left;
}

static inline size_t cut_everywhere(const char *next, size_t left)
{
    (void)next;
    (void)left;
    return 1;
}

/* The first byte of a piece says how long that is: so it is the fuzzer that chooses. */
static inline size_t cut_by_content(const char *next, size_t left)
{
    const size_t size = 1 + (unsigned char)*next % 31;
    return size < left ? size : left;
}

/* Adds SIZE bytes of DATA to DIGEST, 0 in the beginning, as the 64-bit FNV-1a hash does. */
static inline uint64_t digest_add(uint64_t digest, const char *data, size_t size)
{
    const uint64_t prime = (UINT64_C(1) << 40) + 0x1b3;
    for (size_t i = 0; i < size; i++) {
        digest = (digest ^ (unsigned char)data[i]) * prime;
    }
    return digest;
}

/* Is BODY what the chunks in SENT hold, SIZE bytes that were accepted? Read in the plainest way. */
static inline void require_chunks(const char *body, size_t body_size, const char *sent, size_t size)
{
    size_t found = 0;
    size_t at = 0;
    for (size_t length = 1; length > 0;) {
        require(at < size && isxdigit((unsigned char)sent[at]), "a chunk begins with its size");
        char *behind = NULL;
        length = strtoul(sent + at, &behind, 16);
        const bool ends = *behind == '\r';
        behind += strspn(behind, " \t"); /* they belong to the semicolon */
        require(ends || *behind == ';', "nothing but extensions is behind a chunk's size");
        const char *feed = memchr(behind, '\n', size - (size_t)(behind - sent));
        require(feed != NULL && feed[-1] == '\r', "a chunk's size has a line");
        at = (size_t)(feed + 1 - sent);
        if (length > 0) {
            require(size - at >= 2 && length <= size - at - 2 && length <= body_size - found,
                    "a chunk is no longer than what was sent");
            require(memcmp(body + found, sent + at, length) == 0, "a chunk's data is in the body");
            require(memcmp(sent + at + length, "\r\n", 2) == 0, "a line end is behind a chunk's data");
            found += length;
            at += length + 2;
        }
    }
    require(found == body_size, "all chunks are the body");
    require(size - at >= 2 && memcmp(sent + size - 2, "\r\n", 2) == 0, "trailers end in an empty line");
}

#endif
