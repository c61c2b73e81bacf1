/* answer: which answers requests get, from what is below a directory. */
#ifndef ANSWER_H
#define ANSWER_H

#include "connection.h"

/* Answers one request after another, in their order, with what is below the directory ROOT, until the peer or
 * a request ends that. */
void converse(struct connection *connection, int root);

#endif
