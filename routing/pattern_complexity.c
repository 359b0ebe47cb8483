#include "routing/pattern_internal.h"
unsigned pattern_complexity(const struct pattern *pattern, unsigned limit)
{
    (void)pattern;
    (void)limit;
    return 0;
}
