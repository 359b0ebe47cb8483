/* SPDX-License-Identifier: Apache-2.0
 *
 * h1_second.h - a second reading of an HTTP/1.1 request, which has to agree with the first.
 */
#pragma once

#include <llhttp.h>

#include "gateway/h1_head.h"

/* Must not move between head and end: llhttp points back to it. */
struct h1_second {
    llhttp_t parser;
    bool saw_head;
    bool saw_end; /* of the request */
};

/* Begin a request with its whole head.  Does llhttp read in it what `head` says? */
MUST_USE bool h1_second_agrees_on_head(struct h1_second *second, const struct h1_head *head,
                                       struct slice bytes);
/* Bytes of the body as they were framed.  Whether it has ended is in `saw_end`. */
MUST_USE bool h1_second_agrees_on_body(struct h1_second *second, struct slice bytes);
