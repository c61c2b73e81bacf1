#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "report.h"

static void stop(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_SUCCESS);
}

void stop_on_signals(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGINT, &action, NULL) < 0) {
        die("sigaction", "SIGTERM, SIGINT", errno);
    }
}
