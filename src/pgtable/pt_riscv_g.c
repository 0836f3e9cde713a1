/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_riscv_g.c - RISC-V second-stage page tables: the engine with this format. */
#include "fmt_riscv_g.h"

#include "pt_engine.h"
