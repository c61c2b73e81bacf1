/* files: a smaller server of files than chapter 05's, over any connection. It is given. */
#ifndef FILES_H
#define FILES_H

#include "connection.h"

/* Answers one request after another from the files below the directory ROOT, until the peer or a request ends
 * that. With LOG each is told on standard error: `REMOTE LOCAL METHOD TARGET`. */
void converse(struct connection *connection, int root, bool log);

#endif
