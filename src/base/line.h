/* A line: what CPUs fetch and take from each other. What one process writes
 * while it serves must not lie in one with what another writes.
 *
 * It is two lines of the cache, since neighbours are fetched in pairs. Structs
 * that are rows of shared memory are aligned(LINE_SIZE), which rounds their
 * size up as well; spec/src/line_spec.lua knows all of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

enum { LINE_SIZE = 128 };
