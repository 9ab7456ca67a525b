/* The text of abi.h, so that the running program and its Lua modules can not
 * disagree about it, wherever they are installed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/abi.h"

#include "script/state.h"

__asm__(".pushsection .rodata\n"
        ".global script_abi_text\n"
        "script_abi_text:\n"
        ".incbin \"script/abi.h\"\n"
        ".byte 0\n"
        ".popsection\n");
