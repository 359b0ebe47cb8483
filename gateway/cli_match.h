/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_match.h - patterns without a gateway: `weir match` and `weir test-pattern`.
 */
#pragma once

/* Arguments after the command's name; the exit code. */
int cli_match(int argc, char **argv);
int cli_test_pattern(int argc, char **argv);
