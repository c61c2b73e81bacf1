/* frame: CHAO's two forms, from bytes to a message and back. Nothing here does any input or output. */
#ifndef FRAME_H
#define FRAME_H

#include "link.h"

enum {
    ETHERTYPE_CHAO = 0x88B5,     /* local experimental EtherType 1 (IEEE 802) */
    CHAO_MAGIC = 0x4348414F,     /* "CHAO" */
    CHAO_HEADER = 6,             /* CHAO/1: the magic, and the message's length */
    CHAO_RAW_HEADER = 4,         /* CHAO/0: the magic */
    CHAO_LONGEST_MESSAGE = 1494, /* CHAO/1: what is left of a frame's 1500 bytes of payload */
    CHAO_RAW_LONGEST_MESSAGE = 1510,
};

/* A message, and the addresses that its frame carries: zeros in CHAO/0, which has none. */
struct chao {
    uint8_t source[MAC_LENGTH];
    uint8_t destination[MAC_LENGTH];
    const uint8_t *message;
    size_t length;
};

/* Reads FRAME, of which SIZE bytes are there, as CHAO/1, or with RAW as CHAO/0. CHAO's message points into
 * it. Returns false if it is no such frame, or not all of one. */
bool frame_parse(struct chao *chao, const uint8_t *frame, size_t size, bool raw);

/* Writes CHAO as a frame, its message at most the longest, into FRAME; what is missing to the shortest frame
 * are zeros. Returns its length. */
size_t frame_write(const struct chao *chao, uint8_t frame[ETHERNET_LONGEST], bool raw);

#endif
