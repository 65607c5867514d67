/* SPDX-License-Identifier: MIT
 *
 * `teldag-feed pseudonym-key`: adds a school year's key to the key file. The key itself is never shown. */
#pragma once

int feed_key_main(int argc, char **argv);
