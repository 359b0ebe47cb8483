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
