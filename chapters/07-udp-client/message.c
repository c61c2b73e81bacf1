#include "message.h"

/* BEGIN SOLUTION */
static void put(unsigned char *bytes, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(value >> (8 * (size - 1 - i)));
    }
}

static uint64_t get(const unsigned char *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static unsigned char filling(size_t at)
{
    return (unsigned char)('a' + at % 26);
}

/* END SOLUTION */
/* STARTER: */
void message_write(const struct message *message, unsigned char *bytes, size_t size)
{
    /* BEGIN SOLUTION */
    put(bytes, message->session, 8);
    put(bytes + 8, message->number, 4);
    put(bytes + 12, message->transmission, 4);
    for (size_t at = HEADER; at < size; at++) {
        bytes[at] = filling(at);
    }
    /* END SOLUTION */
    /* STARTER:
    (void)message; // session, number, transmission; big-endian, whatever this machine is
    for (size_t at = 0; at < size; at++) {
        bytes[at] = 0;
    }
    */
}

bool message_read(struct message *message, const unsigned char *bytes, size_t length, size_t size)
{
    /* BEGIN SOLUTION */
    if (length != size) {
        return false;
    }
    message->session = get(bytes, 8);
    message->number = (uint32_t)get(bytes + 8, 4);
    message->transmission = (uint32_t)get(bytes + 12, 4);
    for (size_t at = HEADER; at < size; at++) {
        if (bytes[at] != filling(at)) {
            return false;
        }
    }
    return true;
    /* END SOLUTION */
    /* STARTER:
    (void)message;
    (void)bytes;
    return length == size; // anybody's bytes would do, as yet
    */
}
