/* chao: a protocol of our own on Ethernet itself, below IP. A server, and a client that asks it.
 *
 *   chao --interface NAME [--raw]                                        serves
 *   chao --interface NAME [--raw] [--timeout SECONDS] MAC [MESSAGE]      asks, and prints the answer
 *
 * Needs CAP_NET_RAW (capabilities(7)).
 */
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"
#include "report.h"
#include "signals.h"

const char program_name[] = "chao";

enum {
    EXIT_TIMED_OUT = 3,
    MOST_ANSWERS = 8, /* to one message from one asker, until it pauses or says something else */
    PAUSE_MILLISECONDS = 1000,
};

static const char greeting[] = "Hello, custom chao protocol!";
static const uint8_t everybody[MAC_LENGTH] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct options {
    const char *interface;
    bool raw;           /* CHAO/0 */
    long milliseconds;  /* how long the client waits for its answer */
    const char *target; /* NULL: serve */
    const char *message;
};

/* What was answered last, to tell a conversation from an echo: see answers_again. */
struct last {
    uint8_t source[MAC_LENGTH];
    uint8_t message[ETHERNET_LONGEST];
    size_t length;
    unsigned answers;
    struct timespec pause; /* after this moment it is forgotten */
};

static struct options parse_options(int argc, char **argv)
{
    static char name[] = "chao";
    static const struct option known[] = {
        {"interface", required_argument, NULL, 'i'},
        {"raw", no_argument, NULL, 'r'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.interface = NULL, .milliseconds = 2000, .message = ""};
    struct timeval timeout;
    argv[0] = name; /* getopt_long begins its own error lines with it */
    for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'i':
            options.interface = optarg;
            break;
        case 'r':
            options.raw = true;
            break;
        case 't':
            timeout = parse_timeout(optarg);
            options.milliseconds = timeout.tv_sec * 1000 + timeout.tv_usec / 1000;
            break;
        case 'h':
            puts("usage: chao --interface NAME [--raw] [--timeout SECONDS] [MAC [MESSAGE]]");
            exit(EXIT_SUCCESS);
        default: /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
    if (optind < argc) {
        options.target = argv[optind++];
    }
    if (optind < argc) {
        options.message = argv[optind++];
    }
    if (optind < argc) {
        usage_error("unexpected argument", argv[optind]);
    }
    return options;
}

/* Looks at what the client was given. Sets MAC to whom it asks. */
static void check_question(const struct options *options, uint8_t mac[MAC_LENGTH])
{
    memcpy(mac, everybody, MAC_LENGTH);
    const bool any = strcmp(options->target, "any") == 0;
    if (options->raw && !any) {
        usage_error("without a header there are no addresses, so ask 'any'", options->target);
    }
    if (!any && !mac_parse(mac, options->target)) {
        usage_error("neither six bytes as 52:54:00:00:01:01 nor 'any'", options->target);
    }
    const size_t longest = options->raw ? CHAO_RAW_LONGEST_MESSAGE : CHAO_LONGEST_MESSAGE;
    if (strlen(options->message) > longest) {
        usage_error("the message does not fit a frame", options->message);
    }
}

/* Opens LINK for CHAO/1: frames with our EtherType and the magic behind it, sent to this machine or to all.
 */
static void open_framed(struct link *link, const char *interface)
{
    /* BEGIN SOLUTION */
    static struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_CHAO, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ETHERNET_HEADER), /* beyond a frame's end it is refused as well */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CHAO_MAGIC, 0, 4),
        /* A promiscuous interface hears what others are asked, and the kernel marks it PACKET_OTHERHOST. So
         * it marks a frame of a VLAN, whose tag it has taken off, before a socket of one protocol is shown
         * it. */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_HOST, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_BROADCAST, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    link_open(link, interface, ETHERTYPE_CHAO, &filter);
    /* END SOLUTION */
    /* STARTER:
    static struct sock_filter program[] = {
        BPF_STMT(BPF_RET | BPF_K, 0), // lets nothing through: say what does come through, before this
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    link_open(link, interface, ETHERTYPE_CHAO, &filter);
    */
}

/* Opens LINK for CHAO/0. Where an EtherType belongs there are two bytes of the message, so the kernel sorts
 * these frames under any protocol. A socket for all of them is shown as well what other programs here send.
 */
static void open_raw(struct link *link, const char *interface)
{
    /* BEGIN SOLUTION */
    static struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CHAO_MAGIC, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    link_open(link, interface, ETH_P_ALL, &filter);
    link_hear_groups(link); /* 0x43, the magic's first byte, has the lowest bit set: it names a group */
    /* END SOLUTION */
    /* STARTER:
    open_framed(link, interface); // another filter, ETH_P_ALL, and link_hear_groups
    */
}

/* Says on standard output where the server can be reached, in one line. */
static void announce(const char *interface)
{
    printf("listening on packet:%s\n", interface);
    if (fflush(stdout) != 0) {
        die("write", "standard output", errno);
    }
}

/* May QUESTION be answered? No field tells a question from an answer: two servers that hear each other would
 * go on for ever. So the same message from the same place is answered a few times, then not before a pause.
 */
static bool answers_again(struct last *last, const struct chao *question)
{
    /* BEGIN SOLUTION */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const bool forgotten = now.tv_sec > last->pause.tv_sec ||
                           (now.tv_sec == last->pause.tv_sec && now.tv_nsec > last->pause.tv_nsec);
    const bool same = last->length == question->length &&
                      memcmp(last->source, question->source, MAC_LENGTH) == 0 &&
                      memcmp(last->message, question->message, question->length) == 0;
    if (forgotten || !same) {
        last->answers = 0;
        last->length = question->length;
        memcpy(last->source, question->source, MAC_LENGTH);
        memcpy(last->message, question->message, question->length);
    }
    last->pause = link_deadline(PAUSE_MILLISECONDS);
    return last->answers++ < MOST_ANSWERS;
    /* END SOLUTION */
    /* STARTER:
    (void)last; // compare, count, and forget after a pause
    (void)question;
    return true;
    */
}

/* Answers QUESTION, if it is one that wants an answer. */
static void answer(const struct link *link, const struct chao *question, struct last *last, bool raw)
{
    /* BEGIN SOLUTION */
    if (mac_is_group(question->source) || !answers_again(last, question)) {
        return; /* nobody can be a group; and a server must not be made to speak to one */
    }
    struct chao reply = *question;
    memcpy(reply.destination, question->source, MAC_LENGTH);
    memcpy(reply.source, link->mac, MAC_LENGTH);
    if (question->length == 0) {
        reply.message = (const uint8_t *)greeting;
        reply.length = sizeof greeting - 1;
    }
    uint8_t frame[ETHERNET_LONGEST];
    const int error = link_send(link, frame, frame_write(&reply, frame, raw));
    if (error < 0) {
        report("send", link->name, -error);
    }
    /* END SOLUTION */
    /* STARTER:
    (void)link; // to the asker's address, from this interface's
    (void)question;
    (void)last;
    (void)raw;
    (void)greeting;
    (void)answers_again;
    */
}

_Noreturn static void serve(const struct link *link, bool raw)
{
    static struct last last;
    for (;;) {
        uint8_t frame[ETHERNET_LONGEST];
        const ssize_t length = link_receive(link, frame, sizeof frame, NULL);
        struct chao question;
        if (length == -ENETDOWN) {
            report("recv", link->name, ENETDOWN); /* told once: when it is up again, the socket hears again */
        } else if (length < 0) {
            die("recv", link->name, (int)-length);
        } else if ((size_t)length <= sizeof frame && frame_parse(&question, frame, (size_t)length, raw)) {
            answer(link, &question, &last, raw);
        }
    }
}

/* Is REPLY the answer to QUESTION? Others ask here too, and late answers come to questions of long ago. */
static bool is_answer(const struct chao *reply, const struct chao *question, const struct link *link,
                      bool raw)
{
    /* BEGIN SOLUTION */
    if (!raw && memcmp(reply->destination, link->mac, MAC_LENGTH) != 0) {
        return false;
    }
    if (!raw && !mac_is_group(question->destination) &&
        memcmp(reply->source, question->destination, MAC_LENGTH) != 0) {
        return false;
    }
    const void *expected = question->length > 0 ? (const void *)question->message : greeting;
    const size_t length = question->length > 0 ? question->length : sizeof greeting - 1;
    return reply->length == length && memcmp(reply->message, expected, length) == 0;
    /* END SOLUTION */
    /* STARTER:
    (void)reply; // to us, from whom we asked, and with the words that an answer has
    (void)question;
    (void)link;
    (void)raw;
    return false;
    */
}

/* Waits for the answer to QUESTION and prints it. Returns the program's exit status. */
static int await_answer(const struct link *link, const struct chao *question, const struct options *options)
{
    const struct timespec until = link_deadline(options->milliseconds);
    for (;;) {
        uint8_t frame[ETHERNET_LONGEST];
        const ssize_t length = link_receive(link, frame, sizeof frame, &until);
        struct chao reply;
        if (length == -ETIMEDOUT) {
            give_up(options->target, "i/o timeout");
            return EXIT_TIMED_OUT;
        }
        if (length < 0) {
            die("recv", link->name, (int)-length);
        }
        if ((size_t)length <= sizeof frame && frame_parse(&reply, frame, (size_t)length, options->raw) &&
            is_answer(&reply, question, link, options->raw)) {
            const bool written = fwrite(reply.message, 1, reply.length, stdout) == reply.length;
            if (!written || putchar('\n') == EOF || fflush(stdout) != 0) {
                die("write", "standard output", errno);
            }
            return EXIT_SUCCESS;
        }
    }
}

static int ask(const struct link *link, const uint8_t mac[MAC_LENGTH], const struct options *options)
{
    /* BEGIN SOLUTION */
    struct chao question = {
        .message = (const uint8_t *)options->message,
        .length = strlen(options->message),
    };
    memcpy(question.destination, mac, MAC_LENGTH);
    memcpy(question.source, link->mac, MAC_LENGTH);
    uint8_t frame[ETHERNET_LONGEST];
    const int error = link_send(link, frame, frame_write(&question, frame, options->raw));
    if (error < 0) {
        die("send", link->name, -error);
    }
    return await_answer(link, &question, options);
    /* END SOLUTION */
    /* STARTER:
    (void)mac; // frame_write, link_send
    const struct chao question = {.length = 0};
    return await_answer(link, &question, options);
    */
}

int main(int argc, char **argv)
{
    const struct options options = parse_options(argc, argv);
    uint8_t mac[MAC_LENGTH];
    if (options.interface == NULL) {
        usage_error("an interface has to be named", "--interface");
    }
    if (options.target != NULL) {
        check_question(&options, mac);
    }
    struct link link;
    if (options.raw) {
        open_raw(&link, options.interface);
    } else {
        open_framed(&link, options.interface);
    }
    if (options.target != NULL) {
        return ask(&link, mac, &options);
    }
    stop_on_signals();
    announce(options.interface);
    serve(&link, options.raw);
}
