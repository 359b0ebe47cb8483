/* SPDX-License-Identifier: Apache-2.0
 *
 * good.c - a file that says what it is.
 */
