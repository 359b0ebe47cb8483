#include "accounts/credentials.h"
#include "gateway/worker.h"
