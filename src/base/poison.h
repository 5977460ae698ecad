/* poison: functions without a bound do not compile. Include last, after the system's headers. */
#pragma once
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets
