/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pt_amdv1.c - AMD host page tables: the engine with this format. */
#include "fmt_amdv1.h"

#include "pt_engine.h"
