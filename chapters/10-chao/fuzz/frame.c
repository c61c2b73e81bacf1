/* Fuzzes the readers of CHAO's two forms: what is accepted lies in the frame, and is the same when it is
 * written and read again.
 *
 * An input is a frame. */
#include "frame.h"
#include "fuzz.h"

const char program_name[] = "fuzz-frame";

static void try_form(const uint8_t *frame, size_t size, bool raw)
{
    struct chao chao;
    if (!frame_parse(&chao, frame, size, raw)) {
        return;
    }
    const size_t longest = raw ? CHAO_RAW_LONGEST_MESSAGE : CHAO_LONGEST_MESSAGE;
    require(chao.length <= longest, "a message fits a frame");
    require(chao.message >= frame && chao.message + chao.length <= frame + size, "a message has come whole");
    require(memcmp(chao.message - (raw ? 4 : 6), "CHAO", 4) == 0, "the magic is before it");
    require(!raw || chao.length == 0 || chao.message[chao.length - 1] != 0, "zeros at the end are padding");
    uint8_t written[ETHERNET_LONGEST];
    memset(written, 0xaa, sizeof written);
    const size_t length = frame_write(&chao, written, raw);
    require(length >= ETHERNET_SHORTEST && length <= sizeof written, "a frame has a frame's length");
    struct chao again;
    require(frame_parse(&again, written, length, raw), "what was written can be read");
    require(again.length == chao.length && memcmp(again.message, chao.message, chao.length) == 0,
            "it is the same");
    require(memcmp(again.source, chao.source, MAC_LENGTH) == 0, "it is from the same");
    require(memcmp(again.destination, chao.destination, MAC_LENGTH) == 0, "it is for the same");
    for (const uint8_t *at = again.message + again.length; at < written + length; at++) {
        require(*at == 0, "padding is zeros");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *frame =
        malloc(size > 0 ? size : 1); /* of its own length, so that a look behind its end is seen */
    require(frame != NULL, "there is memory");
    memcpy(frame, data, size);
    try_form(frame, size, false);
    try_form(frame, size, true);
    free(frame);
    return 0;
}
