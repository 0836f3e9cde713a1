/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_riscv_s.c - RISC-V first-stage page tables: the engine with this format. */
#include "fmt_riscv_s.h"

#include "pt_engine.h"
