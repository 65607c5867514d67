/* SPDX-License-Identifier: MIT
 *
 * The only place that asks the time. Brussels' date is computed from UTC by the European rule (summer time
 * from the last Sunday of March 01:00 UTC to the last Sunday of October 01:00 UTC) instead of through TZ and
 * localtime(): no environment is changed, any thread may ask, and a machine without tzdata gives the same
 * date. */
#include "daemon/clock.h"

#include <stdbool.h>
#include <time.h>

#define DAY_S 86400

uint64_t clock_monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

int64_t clock_realtime_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Second of the last Sunday of a month of 31 days, 01:00 UTC. */
static time_t last_sunday(int year, int month)
{
    struct tm last = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 31, .tm_hour = 1};
    time_t t = timegm(&last); /* also sets tm_wday */
    return t - (time_t)last.tm_wday * DAY_S;
}

int32_t clock_brussels_date(int64_t realtime_us)
{
    time_t seconds = (time_t)(realtime_us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    int year = utc.tm_year + 1900;
    bool summer = seconds >= last_sunday(year, 3) && seconds < last_sunday(year, 10);
    return (int32_t)((seconds + (summer ? 7200 : 3600)) / DAY_S);
}

int32_t clock_today_brussels(void)
{
    return clock_brussels_date(clock_realtime_us());
}
