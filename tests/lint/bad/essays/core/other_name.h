/* SPDX-License-Identifier: Apache-2.0
 *
 * other.h - the name of another file.
 */
