/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* arch.c - the list of architectures. */
#include "arch.h"

#include <string.h>

const struct machine_arch *const machine_archs[] = { &machine_vtd, &machine_vtd_legacy, &machine_amdvi, &machine_riscv, &machine_smmuv3, NULL };

const struct machine_arch *machine_arch_by_name(const char *name)
{
	for (unsigned i = 0; machine_archs[i]; i++)
		if (strcmp(machine_archs[i]->name, name) == 0)
			return machine_archs[i];
	return NULL;
}
