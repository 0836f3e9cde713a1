/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_vtd_ss.c - VT-d second-stage page tables: the engine with this format. */
#include "fmt_vtd_ss.h"

#include "pt_engine.h"
