/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_complexity.c - how much work the wildcards of a pattern can cost.
 *
 * Nothing is measured yet: every pattern is taken for simple.
 */
#include "routing/pattern_internal.h"

unsigned pattern_complexity(const struct pattern *pattern, unsigned limit)
{
    (void)pattern;
    (void)limit;
    return 0;
}
