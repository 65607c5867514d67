/* SPDX-License-Identifier: MIT
 *
 * The command `serve`: a journal offered by TFP/1 (docs/protocol/tfp1.md), fed from standard input meanwhile.
 */
#pragma once

int feed_serve_main(int argc, char **argv);
