/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_amdv2.c - AMD guest page tables: the engine with this format. */
#include "fmt_amdv2.h"

#include "pt_engine.h"
