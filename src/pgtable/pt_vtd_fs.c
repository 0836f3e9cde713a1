/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_vtd_fs.c - VT-d first-stage page tables: the engine with this format. */
#include "fmt_vtd_fs.h"

#include "pt_engine.h"
