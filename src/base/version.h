/* The version of Nydus, as --version and INFO tell it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define NYDUS_VERSION "0.1.0"
