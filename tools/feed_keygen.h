/* SPDX-License-Identifier: MIT
 *
 * teldag-feed keygen: a pair of CURVE keys for this feeder. */
#pragma once

int feed_keygen_main(int argc, char **argv);
