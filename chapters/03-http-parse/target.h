/* target: what a request is for (RFC 9112, section 3.2), and whom it is addressed to. */
#ifndef TARGET_H
#define TARGET_H

#include <stdbool.h>

#include "request.h"
#include "slice.h"

/* A character of a request target: visible, of ASCII, and not the one that begins a fragment. */
bool is_target(char byte);

/* Splits VALUE into a HOST and a PORT (RFC 9110, section 7.2; RFC 3986, section 3.2.2), which may be empty,
 * each of them. Returns false if it is something else. */
bool host_split(struct slice value, struct slice *host, struct slice *port);

/* Finds the path in the request's target, of whichever form. Returns DONE, or the status with which to refuse
 * it. */
int take_target(struct request *request);

#endif
