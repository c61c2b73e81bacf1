/* signals: how a server ends.
 *
 * Chapters 01 and 02 taught this; from chapter 03 on it is given. */
#ifndef SIGNALS_H
#define SIGNALS_H

/* Lets SIGTERM and SIGINT end the program, with status 0, from wherever it is. Ends it with status 1 if that
 * cannot be. */
void stop_on_signals(void);

#endif
