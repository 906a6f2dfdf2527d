// SPDX-License-Identifier: Apache-2.0
#include "lsmt/search.h"

const struct ovbd_search *const ovbd_searches[] = {&ovbd_search_neon, &ovbd_search_plain, NULL};
