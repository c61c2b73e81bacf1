#include "frame.h"

#include <string.h>

/* CHAO/1: an Ethernet header, the magic, the length, the message, and perhaps padding. */
static bool parse_framed(struct chao *chao, const uint8_t *frame, size_t size)
{
    /* BEGIN SOLUTION */
    if (size < ETHERNET_HEADER + CHAO_HEADER) {
        return false;
    }
    memcpy(chao->destination, frame, MAC_LENGTH);
    memcpy(chao->source, frame + MAC_LENGTH, MAC_LENGTH);
    const uint8_t *payload = frame + ETHERNET_HEADER;
    chao->length = get_16(payload + 4);
    chao->message = payload + CHAO_HEADER;
    return get_16(frame + 12) == ETHERTYPE_CHAO && get_32(payload) == CHAO_MAGIC &&
           chao->length <= size - ETHERNET_HEADER - CHAO_HEADER && chao->length <= CHAO_LONGEST_MESSAGE;
    /* END SOLUTION */
    /* STARTER:
    (void)chao; // is all of it there? what its length says may be more than what has come
    (void)frame;
    (void)size;
    return false;
    */
}

/* CHAO/0: the magic and the message. What is padding and what is message nobody can tell but by the zeros. */
static bool parse_raw(struct chao *chao, const uint8_t *frame, size_t size)
{
    /* BEGIN SOLUTION */
    if (size < CHAO_RAW_HEADER || size > ETHERNET_LONGEST || get_32(frame) != CHAO_MAGIC) {
        return false;
    }
    while (size > CHAO_RAW_HEADER && frame[size - 1] == 0) {
        size--;
    }
    memset(chao->source, 0, MAC_LENGTH);
    memset(chao->destination, 0, MAC_LENGTH);
    chao->message = frame + CHAO_RAW_HEADER;
    chao->length = size - CHAO_RAW_HEADER;
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)chao; // the message ends before the zeros at the end
    (void)frame;
    (void)size;
    return false;
    */
}

bool frame_parse(struct chao *chao, const uint8_t *frame, size_t size, bool raw)
{
    return raw ? parse_raw(chao, frame, size) : parse_framed(chao, frame, size);
}

size_t frame_write(const struct chao *chao, uint8_t frame[ETHERNET_LONGEST], bool raw)
{
    /* BEGIN SOLUTION */
    memset(frame, 0, ETHERNET_SHORTEST); /* padding must not tell what this memory held before */
    uint8_t *at = frame;
    if (!raw) {
        memcpy(at, chao->destination, MAC_LENGTH);
        memcpy(at + MAC_LENGTH, chao->source, MAC_LENGTH);
        put_16(at + 12, ETHERTYPE_CHAO);
        at += ETHERNET_HEADER;
    }
    put_32(at, CHAO_MAGIC);
    at += 4;
    if (!raw) {
        put_16(at, (uint16_t)chao->length);
        at += 2;
    }
    memcpy(at, chao->message, chao->length);
    const size_t length = (size_t)(at - frame) + chao->length;
    return length < ETHERNET_SHORTEST ? ETHERNET_SHORTEST : length;
    /* END SOLUTION */
    /* STARTER:
    (void)chao; // put_16 and put_32 write numbers as the wire has them
    (void)raw;
    memset(frame, 0, ETHERNET_SHORTEST);
    return ETHERNET_SHORTEST;
    */
}
