/* SPDX-License-Identifier: Apache-2.0
 *
 * number.h - which JSON numbers compare by value.
 */
#pragma once

#include "core/slice.h"

/* Read the text of a JSON number.  True, with its value, if the number is comparable: the double
 * nearest to it, printed in its shortest form, is the same decimal number again.  False for
 * 9007199254740993, 0.1000000000000000055 or 1e400, which compare by their spelling only. */
bool number_read(struct slice text, double *value);

/* What is known of a number before its double is printed. */
enum number_nearness {
    NUMBER_NEVER, /* it is not comparable */
    NUMBER_NEAR,  /* *value is the nearest double; number_read() knows whether it is comparable */
    NUMBER_EQUAL, /* comparable */
};

/* The nearest double, which costs a tenth of number_read() where that must print: enough to tell
 * that a number is *not* equal to, or not within, something. */
enum number_nearness number_nearest(struct slice text, double *value);
