/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * guest_smmuv3.c - QEMU's SMMUv3, for a guest. The kernel finds its registers by itself; what `--machine qemu` would need (struct
 * qemu_board has the list) is not here, so it is not one of qemu_boards.
 */
#include "guest.h"

const struct qemu_board guest_smmuv3 = {
	.name = "smmuv3",
	.arch = "smmuv3",
	.program = "qemu-system-aarch64",
	.arguments = (const char *const[]){ "-machine", "virt,iommu=smmuv3,memory-backend=ram", QEMU_DEVICES, NULL },
	/* The newest CPU that there is: FEAT_LSE2, and so stores of 128 bits. */
	.guest_arguments = (const char *const[]){ "-cpu", "max", NULL },
};
