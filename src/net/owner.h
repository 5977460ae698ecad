/* owner: from a member that the loop hands back (io, timer, task, retired) to the struct around it.
 */
#pragma once

#include <stddef.h>

#define OWNER(member_at, type, member) \
    ((type *)(void *)((char *)(member_at)-offsetof(type, member)))
