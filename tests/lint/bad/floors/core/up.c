#include "core/base.h"
#include "routing/pattern.h"
