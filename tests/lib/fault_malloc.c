// SPDX-License-Identifier: Apache-2.0
/* Memory that runs out when told to: the linker sends our own code's calls here (--wrap); those
 * of other libraries go where they always went. */
#include "tests/lib/fault.h"

#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
	return test_fault_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return test_fault_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return test_fault_now() ? NULL : __real_realloc(p, size);
}
