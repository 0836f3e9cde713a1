/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch.h - every architecture of the machine. */
#ifndef MACHINE_ARCH_H
#define MACHINE_ARCH_H

#include "machine.h"

extern const struct machine_arch machine_riscv;
extern const struct machine_arch machine_smmuv3;
extern const struct machine_arch machine_vtd;
extern const struct machine_arch machine_vtd_legacy;
extern const struct machine_arch machine_amdvi;

#endif
