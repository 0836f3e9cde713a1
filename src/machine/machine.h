/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * machine.h - places to run: RAM, IOMMUs, PCI functions, a clock.
 *
 * This room is hosted, and the only one that knows both sides: it gives the driver its port and the model its port, over the
 * same memory. An architecture is a struct machine_arch; nothing else in here names one.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <pthread.h>

#include <hitless/iommu.h>
#include <hitless/model.h>

struct machine;
struct qemu_board;

/* Where the hardware is: in this process (model.c), or in a QEMU (qemu.c). */
struct machine_backend {
	int (*start)(struct machine *machine);
	void (*stop)(struct machine *machine);
	uint64_t (*read)(struct machine *machine, uint64_t addr, unsigned size);
	void (*write)(struct machine *machine, uint64_t addr, unsigned size, uint64_t value);
	uint32_t (*pci_read)(struct machine *machine, uint32_t rid, unsigned offset, unsigned size);
	void (*pci_write)(struct machine *machine, uint32_t rid, unsigned offset, unsigned size, uint32_t value);
	void (*relax)(struct machine *machine);	/* between two polls */
};

extern const struct machine_backend machine_model, machine_qemu;

/* What the firmware tells of the unit. */
struct machine_firmware {
	uint64_t registers;
	uint32_t capability;		/* AMD-Vi: the first word of the capability block; 0: the architecture's default */
	uint32_t last_device;		/* likewise; 0: the architecture's default */
};

/* How to bring up one architecture on a machine. */
struct machine_arch {
	const char *name;			/* "vtd", "vtd-legacy", ... */
	const struct iommu_model_ops *model;
	uint64_t registers;			/* where its registers are */
	uint64_t register_bytes;
	const struct entry_format *entry;	/* the live entry of requests without PASID */
	unsigned quantum;			/* bytes of an entry that the hardware reads at once, at most; 0: 16 */
	bool both_quanta;			/* its CPUs come with and without a store of 128 bits: both are shown */
	uint64_t default_capabilities[4];
	/* A table of four levels in the format of the architecture's CPUs: how far right an address is shifted in an entry, and what
	 * else one has that points to a table, to a read-only page, to a writable one, all for users. `table` 0: there is none. */
	struct {
		unsigned shift;
		uint64_t table, read_only, writable;
	} cpu;
	unsigned pasid_bits;			/* how wide its units' PASIDs are; 0: they have none */
	/* What requests with PASID are denied where a first stage maps a page for reading and writing: IOMMU_EXEC, IOMMU_PRIV. */
	unsigned pasid_denies;
	/* A present-looking word that any table walk takes for "everything allowed, at `frame`": what freed memory is filled with. */
	uint64_t poison_bits;
	int (*create_unit)(struct machine *machine, struct iommu_unit **unit);
	/*
	 * Guests' first stages, for machine_config.nested: the driver's X_enable_nesting(), and what gives a unit the capabilities (NULL:
	 * it has them). guest_entry() fills in the entry that a guest would have for its first-stage table at `root`, with what it takes
	 * beside in `page`; both addresses are the guest's. NULL: there are none.
	 */
	int (*enable_nesting)(struct iommu_unit *unit);
	void (*nesting)(uint64_t *capabilities);
	void (*guest_entry)(void *page, uint64_t page_addr, uint64_t root, uint32_t tag, uint64_t *entry);
	/* The same of a device that may have PASIDs, where the guest can choose between a table of them and none. NULL: it can't. */
	void (*guest_table)(void *page, uint64_t page_addr, uint64_t root, uint32_t tag, uint64_t *entry);
	/* Turns capabilities into those of a unit that does not snoop, for machine_config.noncoherent. NULL: all of them snoop. */
	void (*noncoherent)(uint64_t *capabilities);
};

/* NULL when there is none of that name; all of them, NULL-terminated. */
const struct machine_arch *machine_arch_by_name(const char *name);
extern const struct machine_arch *const machine_archs[];

struct machine_config {
	const struct machine_arch *arch;
	const struct qemu_board *board;		/* that QEMU; NULL: the model */
	size_t ram_bytes;			/* 0: 64 MiB */
	unsigned lanes;				/* DMA engines that run at once; 0: 1 */
	uint64_t capabilities[4];		/* 0: the architecture's default */
	unsigned freedoms;			/* IOMMU_FREE_BIT()s */
	bool no_store128;			/* a CPU without 128-bit stores: quantum 64 */
	bool noncoherent;			/* the unit sees memory only after a write-back */
	bool barrier_all;			/* requests execute no barriers; the unit makes all threads do so when it waits (model.h), where the kernel can */
	bool nested;				/* the unit has both stages at once, and the driver understands guests' entries */
	bool ats;				/* PCI functions have an ATS capability */
	unsigned pasid_bits;			/* ... and a PASID capability of that width; 0: none */
	uint64_t timeout_ns;			/* the driver's time limit; 0: ten seconds */
	uint64_t seed;
	const struct iommu_model_config *model;	/* cache geometry; NULL: a middling one */
};

#define MACHINE_MAX_FUNCTIONS 64

/* A PCI function's config space, as far as ATS and PASIDs need it. */
struct machine_function {
	uint32_t rid;
	uint16_t ats_control, pasid_control;
	unsigned ats_uses;	/* atomic: what it does with its own TLB at this moment */
};

struct machine {
	struct machine_config config;
	struct hitless_port port;		/* the driver's */
	const struct machine_backend *backend;
	struct machine_firmware firmware;
	struct iommu_model_port model_port;	/* the model's */
	struct iommu_model model;
	struct qemu *qemu;
	struct iommu_unit *unit;
	/* RAM: physical address ram_base is ram[0]. The unit sees `seen`, which is the same memory unless it doesn't snoop. */
	char *ram, *seen;
	int ram_fd, seen_fd;
	uint64_t ram_base;
	size_t ram_bytes;
	uint64_t poison;			/* physical address of the frame that all poison points to */
	/* The allocator: frames come back last, so that a stale pointer meets poison for as long as possible. */
	pthread_mutex_t frames_lock;
	uint8_t *frame_used;
	uint32_t *frame_fifo;
	uint32_t fifo_head, fifo_count, frames, reserved_frames;
	uint32_t frames_in_use;
	size_t heap_in_use;			/* bytes from port.alloc; atomic */
	struct machine_block *blocks;		/* ... as a list, under frames_lock */
	/* Tests: the n-th allocation from now on fails; 0: none. Counts down. */
	unsigned fail_after;			/* atomic */
	unsigned alloc_calls;			/* atomic: allocations so far */
	/* Is a hardware thread running? If not, polling is what makes the unit go on. */
	unsigned clocked;			/* atomic count */
	struct machine_function functions[MACHINE_MAX_FUNCTIONS];
	unsigned nfunctions;
	/* Who looks at every step or edits plans; see struct hitless_port. `observer` is theirs. */
	void *observer;
};

/* Power on; the unit is not brought up yet. 0 or a negative errno. */
int machine_create(struct machine *machine, const struct machine_config *config);
/* The driver's unit, brought up. */
int machine_start_unit(struct machine *machine);
/* Destroys the unit if it is up and can be, and frees everything. */
void machine_destroy(struct machine *machine);

/* The first `count` frames that the allocator will never give out, for data: at 1 MiB of RAM and up. */
uint64_t machine_reserve_frames(struct machine *machine, unsigned count);

static inline void *machine_virt(const struct machine *machine, uint64_t phys)
{
	return machine->ram + (phys - machine->ram_base);
}

/* Is there RAM for an aligned access? */
static inline bool machine_in_ram(const struct machine *machine, uint64_t addr, size_t bytes)
{
	return addr % bytes == 0 && addr >= machine->ram_base && addr - machine->ram_base < machine->ram_bytes &&
	       machine->ram_bytes - (addr - machine->ram_base) >= bytes;
}

/* A compare-exchange is the only 16-byte load that compiles inline everywhere. To ThreadSanitizer it is a write; it has a load. */
static inline unsigned __int128 machine_load128(void *where)
{
#ifdef __SANITIZE_THREAD__
	return __atomic_load_n((unsigned __int128 *)where, __ATOMIC_ACQUIRE);
#else
	return __sync_val_compare_and_swap((unsigned __int128 *)where, 0, 0);
#endif
}

/* A PCI function with that requester id exists from now on. */
void machine_add_function(struct machine *machine, uint32_t rid);
bool machine_ats_enabled(const struct machine *machine, uint32_t rid);
/* May the function send requests with PASID, with the enable bits of PCI Express 7.8.8.3 that `access` (IOMMU_EXEC, IOMMU_PRIV) needs? */
bool machine_pasid_enabled(const struct machine *machine, uint32_t rid, unsigned access);

/* A page table as an operating system makes it for a process (cpu_table.c): its root, 0 when there is no memory. `offset`: 0, or of a
 * guest, MACHINE_GUEST_OFFSET. */
uint64_t machine_cpu_table(struct machine *machine);
/* -ENOMEM. */
int machine_cpu_map(struct machine *machine, uint64_t offset, uint64_t root, uint64_t iova, uint64_t phys, bool writable);
/* Nothing is there any more; whoever caches it must be told. */
void machine_cpu_unmap(struct machine *machine, uint64_t offset, uint64_t root, uint64_t iova);
void machine_cpu_free(struct machine *machine, uint64_t offset, uint64_t root);

/* ---- A guest whose memory is the machine's RAM: its physical addresses are that much higher (nested.c) ---- */

#define MACHINE_GUEST_OFFSET 0x140000000ull

/* Maps all of the guest's memory in its second-stage domain. */
int machine_map_guest(struct machine *machine, struct iommu_domain *parent);
/*
 * A nested domain behind `parent` whose first stage is the guest's table at `root`, under the guest's own tag. What it takes of
 * guest memory beside the table goes into *page, a page of the machine's (0: a new one). -ENOMEM, and as
 * iommu_domain_alloc_nested().
 */
int machine_nested_alloc(struct machine *machine, struct iommu_domain *parent, uint64_t root, uint32_t tag, uint64_t *page,
			 struct iommu_domain **domain);
void machine_nested_free_page(struct machine *machine, uint64_t page);

/* One DMA of 8 bytes in the model machine, by a function on a lane: translates, does the access, ends. */
struct machine_dma {
	uint32_t rid, pasid;
	uint64_t iova;
	unsigned access;	/* IOMMU_READ or IOMMU_WRITE, and IOMMU_PRIV, IOMMU_EXEC */
	unsigned lane;
	bool ats;		/* through the function's own TLB */
	uint64_t value;		/* written, or read */
	/* Out: */
	bool done;		/* false: a fault */
	uint64_t phys;
	uint32_t reason;
};

void machine_dma(struct machine *machine, struct machine_dma *dma);

/* Fast pseudo-random numbers of the calling thread; seeded per machine by machine_seed_thread(). */
void machine_seed_thread(uint64_t seed);
uint64_t machine_random(void);

#endif
