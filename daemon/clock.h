/* SPDX-License-Identifier: MIT
 *
 * The only place that asks the time. */
#pragma once

#include <stdint.h>

uint64_t clock_monotonic_us(void);
int64_t clock_realtime_us(void);                  /* since 1970 UTC */
int32_t clock_today_brussels(void);               /* days since 1970, date in Europe/Brussels */
int32_t clock_brussels_date(int64_t realtime_us); /* the same of a given moment since 1970 UTC */
