/* SPDX-License-Identifier: MIT
 *
 * Until when a school may answer a melding, and in which school year the melding falls (regulation 7). Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The last day of the answer: received_on + days; + summer_days when the first span touches 1 July-31 August. */
int32_t melding_deadline(int32_t received_on, int days, int summer_days);
/* From the day after the deadline. */
bool melding_is_overdue(int32_t deadline, int32_t today);
int melding_school_year(int32_t received_on); /* start year */
