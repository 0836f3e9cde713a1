/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * kernel.h - what the files of this small kernel share. It boots on one of three machines, finds the IOMMU, and replaces the
 * domain of a device on the first CPU while the second CPU drives the device.
 *
 * The file to copy into a kernel of your own is port.c. docs/embedding.md walks through it.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <hitless/iommu.h>

#define PAGE_SIZE 4096u
#define TEXT_SIZE 256u

/* ---- What a machine is: filled in by its folder's machine.c from what the firmware says ---- */

struct machine {
	const char *name;		/* "x86-64", ... */
	char command_line[TEXT_SIZE];	/* QEMU's -append */
	uint64_t ram, ram_end;		/* free memory */
	uint64_t ecam;			/* PCI config space of bus 0, 4 KiB a function */
	uint64_t window, window_end;	/* for PCI memory BARs that the firmware left unassigned */
};

extern struct machine machine;

/* `boot` is what the boot loader gave. After this there is a console, a clock, and `machine` is complete. */
void machine_init(uint64_t boot);
/* Runs second_main() on the second CPU, on a stack of its own. False: there is none. */
bool machine_start_second_cpu(void);
/* The unit that the device with that requester id is behind, brought up; and the id by which the unit knows it. */
int machine_create_unit(const struct hitless_port *port, uint32_t rid, struct iommu_unit **unit, uint32_t *unit_rid);
_Noreturn void machine_off(void);
void console_put(char c);
uint64_t clock_ns(void);

/* ---- kernel.c ---- */

_Noreturn void kernel_main(uint64_t boot);
_Noreturn void second_main(void);
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* From boot.S: there is no exception that this kernel could go on after. */
_Noreturn void on_trap(uint64_t cause, uint64_t where, uint64_t address);
/* Stops the kernel if an error came back. */
void must(int err, const char *what);

/* ---- port.c ---- */

extern struct hitless_port port;
void port_init(void);

/* ---- memory.c ---- */

void memory_init(uint64_t start, uint64_t end);
/* `bytes`: a power of two, at least a page; the memory is zeroed, and aligned to its size. NULL: none left. */
void *pages_alloc(size_t bytes);
void pages_free(void *pages, size_t bytes);
/* Any size; zeroed. */
void *heap_alloc(size_t bytes);
void heap_free(void *memory, size_t bytes);

struct spinlock {
	uint32_t next, serving;
};

void spin_lock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);

/* ---- text.c ---- */

/* Knows %s, %c, %u, %x, %lu, %lx, %%, and a width with or without a leading 0. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool text_equal(const char *a, const char *b);
/* "name=value" in the command line: the value, or `otherwise`. */
const char *option_text(const char *name, char *value, const char *otherwise);
uint64_t option_number(const char *name, uint64_t otherwise);
/* A cheap pseudo-random number; `state` is not 0. */
uint64_t random_next(uint64_t *state);

/* ---- pci.c ---- */

uint32_t pci_config_read(uint32_t rid, unsigned offset, unsigned size);
void pci_config_write(uint32_t rid, unsigned offset, unsigned size, uint32_t value);
/* The function on bus 0 with that vendor and device id, its memory and its DMA switched on. False: there is none. */
bool pci_find(uint16_t vendor, uint16_t device, uint32_t *rid);
/* The physical address of a memory BAR; one that has none gets it from the machine's window. */
uint64_t pci_bar(uint32_t rid, unsigned bar);

/* ---- fdt.c: the device tree, where the firmware gives one ---- */

void fdt_init(uint64_t blob);
/* Fills in `machine`, but for its name: memory behind `image_end`, PCI, command line. */
void fdt_machine(uint64_t blob, uint64_t image_end);
/* The id by which its IOMMU knows a PCI function. */
uint32_t fdt_iommu_id(uint32_t rid);
/* A node that is compatible with that; one by its name, a child of the root. 0: there is none. */
uint32_t fdt_compatible(const char *compatible);
uint32_t fdt_node(const char *name);
/* A property's bytes, or NULL. */
const uint8_t *fdt_property(uint32_t node, const char *name, unsigned *bytes);
/* The n-th 32-bit cell of a property; 0 if it has not so many. Two cells as one number. */
uint32_t fdt_cell(uint32_t node, const char *name, unsigned n);
uint64_t fdt_cells(uint32_t node, const char *name, unsigned n);

/* ---- testdev.c: QEMU's iommu-testdev ---- */

#define TESTDEV_VALUE 0x12345678u

/* Held while it does DMA, for a port that must keep something out of that. */
extern struct spinlock testdev_busy;

void testdev_init(uint32_t rid);
/* One DMA write of TESTDEV_VALUE, 4 bytes; it is done when this returns. False: the bus answered with an error. */
bool testdev_write(uint64_t iova);

/* ---- measure.c ---- */

struct side {
	const char *name;		/* "s2" */
	enum iommu_domain_type type;
	unsigned stage;
};

enum method { METHOD_REPLACE, METHOD_ATTACH_DETACH, METHODS };

struct counts {
	uint64_t old, new, blocked, wrong, stale;
	uint64_t denied;		/* faults as they must be: writes of the page that is read-only */
};

/* The first violation of a row. */
struct violation {
	const char *what;		/* NULL: none */
	uint64_t iova, before, after;	/* `phase` around the DMA: see measure.c */
};

struct row {
	const char *from, *to, *method, *strategy, *pace;
	bool hitless;
	const char *why;		/* not hitless: why */
	unsigned switches;
	struct counts dma;
	struct violation seen;
	uint64_t faults;		/* in the unit's own records */
	struct iommu_cost cost;		/* the highest of each, of one switch */
	uint64_t p50, p99, max;		/* ns */
};

struct transition {
	struct side from, to;
	enum method method;
	bool paced;
	uint64_t switches, dmas;	/* of each direction, at least */
};

void measure_init(struct iommu_unit *unit, struct iommu_group *group);
/* Can the unit do that? */
bool measure_supports(const struct side *side);
/* Fills in a row for each direction, and returns how many: 1 if both sides are the same. */
unsigned measure_run(const struct transition *t, struct row *rows);
/* The second CPU's work. */
_Noreturn void measure_dma(void);

#endif
