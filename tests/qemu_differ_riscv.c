/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu_differ_riscv.c - the RISC-V IOMMU: device contexts, process contexts, tables of one and two stages, debug requests. */
#include "qemu_differ.h"

#include <hitless/model-riscv.h>

#include "layout/riscv.h"

#define QUEUE_LOG2SZ 7		/* 256 commands; of records 128 in a frame */
#define RECORD_LOG2SZ 6
#define COMMANDS 256
#define RECORDS 128
#define PAS 56			/* as the capabilities say */

static void configure(struct differ *d, struct iommu_model_config *config)
{
	uint64_t cap = qtest_read(&d->machine.qemu->qtest, d->machine.firmware.registers + RISCV_REG_CAP, 8);

	/* The model has no Sv32 and no interrupt files in memory: neither is asked for. */
	SET(RISCV_CAP, SV32, &cap, 0);
	SET(RISCV_CAP, SV32X4, &cap, 0);
	SET(RISCV_CAP, MSI_MRIF, &cap, 0);
	SET(RISCV_CAP, AMO_MRIF, &cap, 0);
	cap &= ~(1ull << 14 | 1ull << 15);
	config->capabilities[0] = cap;
	config->quantum = 8;
}

static void start(struct differ *d)
{
	uint64_t cqb = 0, fqb = 0, ddtp = 0;

	SET(RISCV_QUEUE_BASE, LOG2SZ, &cqb, QUEUE_LOG2SZ);
	SET(RISCV_QUEUE_BASE, PPN, &cqb, RISCV_PPN(d->commands));
	SET(RISCV_QUEUE_BASE, LOG2SZ, &fqb, RECORD_LOG2SZ);
	SET(RISCV_QUEUE_BASE, PPN, &fqb, RISCV_PPN(d->records));
	differ_write_both(d, RISCV_REG_CQB, 8, cqb);
	differ_write_both(d, RISCV_REG_CQCSR, 4, BITS(RISCV_CQCSR, CQEN));
	differ_write_both(d, RISCV_REG_FQB, 8, fqb);
	differ_write_both(d, RISCV_REG_FQCSR, 4, BITS(RISCV_FQCSR, FQEN));
	SET(RISCV_DDTP, MODE, &ddtp, RISCV_DDTP_1LVL);
	SET(RISCV_DDTP, PPN, &ddtp, RISCV_PPN(d->tables));
	differ_write_both(d, RISCV_REG_DDTP, 8, ddtp);
	d->mode = 1;
}

static void submit(struct differ *d, const uint64_t words[2])
{
	memcpy(differ_at(d, d->commands + d->tail * 16), words, 16);
	d->tail = (d->tail + 1) % COMMANDS;
}

/* ---- Tables ---- */

/* Frame 0 is a directory or a leaf of it, 1 its second level, 2 holds process contexts; from 4 on there are page tables. */
#define FIRST_TABLE 4

static uint64_t a_table(struct differ *d)
{
	return differ_table(d, FIRST_TABLE + differ_pick(DIFFER_TABLES - FIRST_TABLE));
}

/* Roots of the second stage have 16 KiB. */
static uint64_t a_root(struct differ *d)
{
	return differ_table(d, FIRST_TABLE + 4 * differ_pick((DIFFER_TABLES - FIRST_TABLE) / 4));
}

static uint64_t an_entry(struct differ *d)
{
	uint64_t pte = 0;
	unsigned kind = differ_pick(100);

	if (kind < 15)
		return 0;
	if (kind < 20)
		/* N is not for this unit: neither knows Svnapot. */
		return (machine_random() & 0x7fc00000000003ffull) | RISCV_PPN(a_table(d)) << RISCV_PTE_PPN_LSB;
	SET(RISCV_PTE, V, &pte, differ_chance(95));
	if (kind < 60) {
		SET(RISCV_PTE, PPN, &pte, RISCV_PPN(a_table(d)));
		if (differ_chance(3))
			pte |= differ_flip() & ~(1ull << 63);
		return pte;
	}
	SET(RISCV_PTE, R, &pte, differ_chance(80));
	SET(RISCV_PTE, W, &pte, differ_chance(70));
	SET(RISCV_PTE, X, &pte, differ_chance(30));
	SET(RISCV_PTE, U, &pte, differ_chance(90));
	SET(RISCV_PTE, A, &pte, differ_chance(92));
	SET(RISCV_PTE, D, &pte, differ_chance(92));
	SET(RISCV_PTE, G, &pte, differ_chance(20));
	SET(RISCV_PTE, RSW, &pte, differ_pick(4));
	/* A page; a large one; nothing at all. */
	SET(RISCV_PTE, PPN, &pte, RISCV_PPN(differ_chance(60) ? differ_random_data(d) :
					     differ_chance(80) ? d->machine.ram_base : DIFFER_NOWHERE));
	return pte;
}

static void a_first_stage(struct differ *d, uint64_t *words, unsigned lsb_ppn, unsigned lsb_mode)
{
	static const unsigned modes[] = { RISCV_S_BARE, RISCV_S_SV39, RISCV_S_SV48, RISCV_S_SV57 };

	layout_set(words, lsb_mode, 4, differ_chance(97) ? modes[differ_pick(4)] : differ_pick(16));
	layout_set(words, lsb_ppn, 44, RISCV_PPN(a_table(d)));
}

static void a_context(struct differ *d, uint64_t *dc)
{
	static const unsigned modes[] = { RISCV_G_BARE, RISCV_G_SV39X4, RISCV_G_SV48X4, RISCV_G_SV57X4 };
	static const unsigned rare[] = { RISCV_DC_EN_ATS_LSB, RISCV_DC_EN_PRI_LSB, RISCV_DC_T2GPA_LSB, RISCV_DC_DTF_LSB, RISCV_DC_PRPR_LSB,
					 RISCV_DC_GADE_LSB, RISCV_DC_SADE_LSB, RISCV_DC_SBE_LSB };

	memset(dc, 0, 64);
	SET(RISCV_DC, V, dc, differ_chance(95));
	for (unsigned i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
		if (differ_chance(3))
			dc[0] |= 1ull << rare[i];
	if (differ_chance(2))
		dc[0] |= 1ull << (12 + differ_pick(12));
	SET(RISCV_DC, G_MODE, dc, differ_chance(40) ? 0 : differ_chance(97) ? modes[differ_pick(4)] : differ_pick(16));
	SET(RISCV_DC, G_PPN, dc, RISCV_PPN(differ_chance(97) ? a_root(d) : a_table(d)));
	SET(RISCV_DC, GSCID, dc, differ_pick(4));
	SET(RISCV_DC, PSCID, dc, differ_pick(4));
	SET(RISCV_DC, PDTV, dc, differ_chance(30));
	if (GET(RISCV_DC, PDTV, dc)) {
		SET(RISCV_DC, DPE, dc, differ_chance(60));
		SET(RISCV_DC, FSC_MODE, dc, differ_chance(80) ? RISCV_PDTP_PD8 : differ_pick(5));
		/* Under a second stage this is a guest-physical address, which hardly ever leads there. */
		SET(RISCV_DC, FSC_PPN, dc, RISCV_PPN(differ_table(d, 2)));
	} else {
		SET(RISCV_DC, DPE, dc, differ_chance(2));
		a_first_stage(d, dc, RISCV_DC_FSC_PPN_LSB, RISCV_DC_FSC_MODE_LSB);
	}
	if (differ_chance(2))
		dc[1 + differ_pick(7)] |= differ_flip();
	/* MSI tables trap in QEMU in a way of its own. */
	dc[4] = differ_chance(98) ? 0 : dc[4];
	dc[5] = dc[6] = 0;
}

static void a_process(struct differ *d, uint64_t *pc)
{
	pc[0] = pc[1] = 0;
	SET(RISCV_PC, V, pc, differ_chance(90));
	SET(RISCV_PC, ENS, pc, differ_chance(30));
	SET(RISCV_PC, SUM, pc, differ_chance(30));
	SET(RISCV_PC, PSCID, pc, differ_pick(4));
	a_first_stage(d, pc, RISCV_PC_FSC_PPN_LSB, RISCV_PC_FSC_MODE_LSB);
	if (differ_chance(3))
		pc[differ_pick(2)] |= differ_flip();
}

/* With one level frame 0 holds the contexts; with two it points to frame 1, which does. */
static uint64_t *context_of(struct differ *d, uint32_t rid)
{
	return differ_at(d, differ_table(d, d->mode == 1 ? 0 : 1) + (rid & 0x3f) * 64);
}

/* IOTINVAL.VMA is of host address spaces without GV, and of one guest with it; IOTINVAL.GVMA of every guest's second stage. */
static void flush(struct differ *d)
{
	uint64_t commands[][2] = {
		{ RISCV_OP_IODIR | RISCV_FUNC_IODIR_INVAL_DDT << RISCV_CMD_FUNC3_LSB },
		{ RISCV_OP_IOTINVAL | RISCV_FUNC_IOTINVAL_VMA << RISCV_CMD_FUNC3_LSB },
		{ RISCV_OP_IOTINVAL | RISCV_FUNC_IOTINVAL_VMA << RISCV_CMD_FUNC3_LSB },
		{ RISCV_OP_IOTINVAL | RISCV_FUNC_IOTINVAL_VMA << RISCV_CMD_FUNC3_LSB },
		{ RISCV_OP_IOTINVAL | RISCV_FUNC_IOTINVAL_GVMA << RISCV_CMD_FUNC3_LSB },
	};

	for (unsigned i = 0; i < 2; i++) {
		SET(RISCV_IOTINVAL, GV, commands[2 + i], 1);
		SET(RISCV_IOTINVAL, GSCID, commands[2 + i],
		    GET(RISCV_DC, GSCID, context_of(d, i ? d->edu->rid : d->testdev->rid)));
	}
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		submit(d, commands[i]);
	differ_write_both(d, RISCV_REG_CQT, 4, d->tail);
}

static void set_directory(struct differ *d, unsigned levels)
{
	uint64_t ddtp = 0;

	d->mode = levels;
	differ_write_both(d, RISCV_REG_DDTP, 8, 0);
	SET(RISCV_DDTP, MODE, &ddtp, levels == 1 ? RISCV_DDTP_1LVL : RISCV_DDTP_2LVL);
	SET(RISCV_DDTP, PPN, &ddtp, RISCV_PPN(d->tables));
	differ_write_both(d, RISCV_REG_DDTP, 8, ddtp);
	if (levels == 2) {
		uint64_t *entry = differ_at(d, d->tables);

		SET(RISCV_DDTE, V, entry, differ_chance(97));
		SET(RISCV_DDTE, PPN, entry, RISCV_PPN(differ_table(d, 1)));
		if (differ_chance(2))
			*entry |= differ_flip();
	}
}

static void build(struct differ *d)
{
	set_directory(d, 1 + differ_pick(2));
	for (unsigned table = FIRST_TABLE; table < DIFFER_TABLES; table++)
		for (unsigned i = 0; i < 24; i++)
			differ_at(d, differ_table(d, table))[differ_index()] = an_entry(d);
	for (unsigned i = 0; i < 8; i++)
		a_process(d, differ_at(d, differ_table(d, 2) + i * 16));
	a_context(d, context_of(d, d->testdev->rid));
	a_context(d, context_of(d, d->edu->rid));
}

static void open_context(struct differ *d, uint32_t rid)
{
	uint64_t *dc;

	/* The directory may be a broken one. */
	if (d->mode == 2)
		*differ_at(d, d->tables) = 1 | RISCV_PPN(differ_table(d, 1)) << RISCV_DDTE_PPN_LSB;
	dc = context_of(d, rid);
	memset(dc, 0, 64);
	SET(RISCV_DC, V, dc, 1);
}

static uint64_t iova(struct differ *d)
{
	uint64_t addr = (machine_random() >> 30) & 0xfff;

	(void)d;
	for (unsigned level = 0; level < 5; level++)
		addr |= (uint64_t)(level < 3 || differ_chance(40) ? differ_index() : 0) << (12 + 9 * level);
	/* Sign-extended, as the first stage wants it; or not. */
	if (differ_chance(50))
		addr = (uint64_t)((int64_t)(addr << 25) >> 25);
	else if (differ_chance(5))
		addr |= machine_random() & 0xfe00000000000000ull;
	else if (differ_chance(50))
		addr &= (1ull << 39) - 1;
	return addr;
}

/* ---- Records and responses ---- */

static void take_faults(struct differ *d, bool qemu, struct differ_fault *fault)
{
	unsigned tail = (unsigned)differ_read(d, qemu, RISCV_REG_FQT, 4) % RECORDS;
	const uint64_t *record = differ_at(d, d->records + d->record[qemu] * 32);

	if (tail == d->record[qemu])
		return;
	*fault = (struct differ_fault){
		.recorded = true,
		.reason = (uint32_t)GET(RISCV_FAULT, CAUSE, record),
		.rid = (uint32_t)GET(RISCV_FAULT, DID, record),
		.pasid = (uint32_t)GET(RISCV_FAULT, PID, record),
		.access = (uint32_t)GET(RISCV_FAULT, TTYP, record),
		.flags = (uint32_t)(GET(RISCV_FAULT, PV, record) | GET(RISCV_FAULT, PRIV, record) << 1),
		.addr = GET(RISCV_FAULT, IOTVAL, record),
		.addr2 = GET(RISCV_FAULT, IOTVAL2, record),
	};
	d->record[qemu] = tail;
	differ_write(d, qemu, RISCV_REG_FQH, 4, tail);
}

/*
 * The 4 KiB page that the request is for. With S the response is about a larger range, whose size is in the number: as many ones below a zero
 * as it takes (5.26). A unit may say less than it knows.
 */
static uint64_t response_page(const uint64_t *response, uint64_t iova, uint32_t *bits)
{
	uint64_t ppn = GET(RISCV_TR_RESPONSE, PPN, response), mask = 0;

	if (GET(RISCV_TR_RESPONSE, S, response))
		mask = (ppn ^ (ppn + 1)) & layout_mask(RISCV_TR_RESPONSE_PPN_WIDTH);
	*bits = 12 + (uint32_t)__builtin_popcountll(mask);
	return RISCV_ADDR((ppn & ~mask) | (RISCV_PPN(iova) & mask));
}

static void debug(struct differ *d, bool qemu, struct differ_request *request)
{
	struct differ_view *view = qemu ? &request->qemu : &request->model;
	struct differ_fault ignored;
	uint64_t ctl = 0, response;

	SET(RISCV_TR_REQ_CTL, GO, &ctl, 1);
	SET(RISCV_TR_REQ_CTL, NW, &ctl, request->access == IOMMU_READ);
	SET(RISCV_TR_REQ_CTL, DID, &ctl, request->rid);
	SET(RISCV_TR_REQ_CTL, PV, &ctl, request->pasid != IOMMU_NO_PASID);
	SET(RISCV_TR_REQ_CTL, PID, &ctl, request->pasid != IOMMU_NO_PASID ? request->pasid : 0);
	differ_write(d, qemu, RISCV_REG_TR_REQ_IOVA, 8, request->iova & ~0xfffull);
	differ_write(d, qemu, RISCV_REG_TR_REQ_CTL, 8, ctl);
	response = differ_read(d, qemu, RISCV_REG_TR_RESPONSE, 8);
	view->done = !GET(RISCV_TR_RESPONSE, FAULT, &response);
	if (view->done)
		view->phys = response_page(&response, request->iova, &view->data);
	take_faults(d, qemu, &ignored);
}

static void choose_debug(struct differ *d, struct differ_request *request)
{
	request->rid = differ_chance(50) ? d->testdev->rid : d->edu->rid;
	request->access = differ_chance(50) ? IOMMU_WRITE : IOMMU_READ;
	request->pasid = differ_chance(70) ? 1 + differ_pick(9) : IOMMU_NO_PASID;
}

/* The width of a guest-physical address; 0: no such scheme. */
static unsigned second_stage_bits(const uint64_t *dc)
{
	unsigned mode = (unsigned)GET(RISCV_DC, G_MODE, dc);

	if (mode == RISCV_G_BARE)
		return 64;
	return mode < RISCV_G_SV39X4 || mode > RISCV_G_SV57X4 ? 0 : 41 + 9 * (mode - RISCV_G_SV39X4);
}

static bool is_guest_fault(uint32_t cause)
{
	return cause == RISCV_CAUSE_GUEST_EXECUTE || cause == RISCV_CAUSE_GUEST_READ || cause == RISCV_CAUSE_GUEST_WRITE;
}

/* Walks one stage: the leaf for `addr`, and where it leads; NULL: none. */
static uint64_t *leaf_of(struct differ *d, uint64_t base, unsigned levels, bool wide, uint64_t addr, uint64_t *to)
{
	for (unsigned level = levels; level--;) {
		uint64_t at = base + ((addr >> (12 + 9 * level)) & (wide && level == levels - 1 ? 0x7ff : 0x1ff)) * 8, *pte;

		if (!machine_in_ram(&d->machine, at, 8))
			return NULL;
		pte = differ_at(d, at);
		if (riscv_pte_mode(pte) == RISCV_PTE_MODE_ABSENT)
			return NULL;
		base = RISCV_ADDR(GET(RISCV_PTE, PPN, pte));
		if (riscv_pte_mode(pte) == RISCV_PTE_MODE_LEAF) {
			*to = base | (addr & layout_mask(12 + 9 * level));
			return pte;
		}
	}
	return NULL;
}

/* Where the first stage's tables are, and how many levels there are; 0: none. */
static unsigned first_stage(struct differ *d, const struct differ_request *request, uint64_t *root)
{
	const uint64_t *dc = context_of(d, request->rid);
	unsigned mode = (unsigned)GET(RISCV_DC, FSC_MODE, dc);

	*root = RISCV_ADDR(GET(RISCV_DC, FSC_PPN, dc));
	if (GET(RISCV_DC, PDTV, dc)) {
		const uint64_t *pc;
		uint64_t page = *root;

		if (GET(RISCV_DC, G_MODE, dc) != RISCV_G_BARE &&
		    !leaf_of(d, RISCV_ADDR(GET(RISCV_DC, G_PPN, dc)), (unsigned)GET(RISCV_DC, G_MODE, dc) - 5, true, *root, &page))
			return 0;
		if (!machine_in_ram(&d->machine, page, 4096))
			return 0;
		pc = differ_at(d, page + (request->pasid == IOMMU_NO_PASID ? 0 : request->pasid) * 16);
		*root = RISCV_ADDR(GET(RISCV_PC, FSC_PPN, pc));
		mode = (unsigned)GET(RISCV_PC, FSC_MODE, pc);
	}
	return mode >= RISCV_S_SV39 && mode <= RISCV_S_SV57 ? mode - 5 : 0;
}

/* Is the address what the first stage's scheme takes (P Sv39: the upper bits are copies of the highest that is translated)? */
static bool is_canonical(struct differ *d, const struct differ_request *request)
{
	uint64_t root;
	unsigned levels = first_stage(d, request, &root), unused = 64 - (12 + 9 * levels);

	return !levels || (uint64_t)((int64_t)(request->iova << unused) >> unused) == request->iova;
}

/* Does the second stage let a first-stage table be read, but not written, on the way to the address? */
static bool table_is_read_only(struct differ *d, const struct differ_request *request)
{
	const uint64_t *dc = context_of(d, request->rid);
	unsigned second = (unsigned)GET(RISCV_DC, G_MODE, dc) - 5, levels;
	uint64_t table, at;

	levels = first_stage(d, request, &table);
	for (unsigned level = levels; level-- && second <= 5;) {
		uint64_t entry = table + ((request->iova >> (12 + 9 * level)) & 0x1ff) * 8;
		const uint64_t *leaf = leaf_of(d, RISCV_ADDR(GET(RISCV_DC, G_PPN, dc)), second, true, entry, &at);

		if (!leaf || !GET(RISCV_PTE, R, leaf))
			return false;
		if (!GET(RISCV_PTE, W, leaf) || !GET(RISCV_PTE, D, leaf))
			return true;
		if (!machine_in_ram(&d->machine, at, 8) || riscv_pte_mode(differ_at(d, at)) != RISCV_PTE_MODE_TABLE)
			return false;
		table = RISCV_ADDR(GET(RISCV_PTE, PPN, differ_at(d, at)));
	}
	return false;
}

/* 2.3, P Sv39, Svx4: a request without a process id is a user's, and so is every access of the second stage: U must be 1. */
static void set_user_bits(struct differ *d, const struct differ_request *request)
{
	(void)request;
	for (unsigned i = 0; i < (DIFFER_TABLES - FIRST_TABLE) * 512; i++) {
		uint64_t *pte = differ_at(d, differ_table(d, FIRST_TABLE)) + i;

		if (riscv_pte_mode(pte) == RISCV_PTE_MODE_LEAF)
			SET(RISCV_PTE, U, pte, 1);
	}
}

static void clear_process_context(uint64_t *pc)
{
	uint64_t used[RISCV_PC_WORDS] = { 0 };

	RISCV_PC_LIST(RISCV_PC, LAYOUT_NAME_BITS)
	for (unsigned i = 0; i < RISCV_PC_WORDS; i++)
		pc[i] &= used[i];
}

/* 2.1.4, 2.2.4: a context with a reserved bit set is misconfigured. */
static void clear_reserved_bits(struct differ *d, const struct differ_request *request)
{
	uint64_t used[8] = { 0 }, *dc = context_of(d, request->rid);
	uint64_t directory = RISCV_ADDR(GET(RISCV_DC, FSC_PPN, dc)), at = directory + (request->pasid & 0xff) * 16;

	RISCV_DCX_LIST(RISCV_DCX, LAYOUT_NAME_BITS)
	for (unsigned i = 0; i < 8; i++)
		dc[i] &= used[i];
	for (unsigned i = 0; i < 16; i++)
		clear_process_context(differ_at(d, differ_table(d, 2)) + i * RISCV_PC_WORDS);
	/* A directory of one level may be anywhere, also among page tables. */
	if (request->pasid == IOMMU_NO_PASID)
		at = directory;
	if (GET(RISCV_DC, PDTV, dc) && GET(RISCV_DC, FSC_MODE, dc) == RISCV_PDTP_PD8 && machine_in_ram(&d->machine, at, 16))
		clear_process_context(differ_at(d, at));
	/* Reserved without capabilities.QOSID. */
	SET(RISCV_DC, RCID, dc, 0);
	SET(RISCV_DC, MCID, dc, 0);
}

/*
 * P Sv39: an entry with a reserved bit set is a page fault; without Svpbmt and Svnapot those are bits 63:54. QEMU takes 61:54 for more of
 * the page number, which then leads nowhere, and drops 63:62.
 */
static void widen_page_numbers(struct differ *d, const struct differ_request *request)
{
	(void)request;
	for (unsigned i = 0; i < (DIFFER_TABLES - FIRST_TABLE) * 512; i++) {
		uint64_t *pte = differ_at(d, differ_table(d, FIRST_TABLE)) + i;

		if (*pte & layout_mask(8) << 54)
			SET(RISCV_PTE, PPN, pte, RISCV_PPN(DIFFER_NOWHERE));
		*pte &= layout_mask(54);
	}
}

/* P Sv39: in a pointer to a table U, A and D are reserved. */
static void clear_pointers(struct differ *d, const struct differ_request *request)
{
	(void)request;
	for (unsigned i = 0; i < (DIFFER_TABLES - FIRST_TABLE) * 512; i++) {
		uint64_t *pte = differ_at(d, differ_table(d, FIRST_TABLE)) + i;

		if (riscv_pte_mode(pte) == RISCV_PTE_MODE_TABLE)
			*pte &= ~(BITS(RISCV_PTE, U) | BITS(RISCV_PTE, A) | BITS(RISCV_PTE, D));
	}
}

/* 2.3.2: a process directory's address is translated by the second stage, to be read. QEMU checks neither R nor A there. */
static void let_directory_be_read(struct differ *d, const struct differ_request *request)
{
	const uint64_t *dc = context_of(d, request->rid);
	uint64_t at, *leaf;

	if (!GET(RISCV_DC, PDTV, dc) || second_stage_bits(dc) % 64 == 0)
		return;
	leaf = leaf_of(d, RISCV_ADDR(GET(RISCV_DC, G_PPN, dc)), (unsigned)GET(RISCV_DC, G_MODE, dc) - 5, true,
		       RISCV_ADDR(GET(RISCV_DC, FSC_PPN, dc)), &at);
	if (leaf) {
		SET(RISCV_PTE, R, leaf, 1);
		SET(RISCV_PTE, A, leaf, 1);
	}
}

/* ... or U. Where the root that a process context has is behind the same leaf, QEMU reads the directory and faults at the root. */
static bool directory_shares_leaf(struct differ *d, const struct differ_request *request)
{
	const uint64_t *dc = context_of(d, request->rid);
	uint64_t table = RISCV_ADDR(GET(RISCV_DC, G_PPN, dc)), directory = RISCV_ADDR(GET(RISCV_DC, FSC_PPN, dc)), at;
	unsigned levels = (unsigned)GET(RISCV_DC, G_MODE, dc) - 5;
	const uint64_t *leaf;

	if (!GET(RISCV_DC, PDTV, dc) || second_stage_bits(dc) % 64 == 0 || request->model.fault.addr2 >> 12 != directory >> 12)
		return false;
	leaf = leaf_of(d, table, levels, true, directory, &at);
	return leaf && leaf == leaf_of(d, table, levels, true, request->qemu.fault.addr2, &at) &&
	       !(GET(RISCV_PTE, R, leaf) && GET(RISCV_PTE, A, leaf) && GET(RISCV_PTE, U, leaf));
}

static const struct differ_blindness blindnesses[] = {
	{ "user-bit-ignored", set_user_bits },
	{ "reserved-bits-of-contexts", clear_reserved_bits },
	{ "reserved-bits-of-entries", widen_page_numbers },
	{ "reserved-bits-of-pointers", clear_pointers },
	{ "directory-read-unchecked", let_directory_be_read },
	{ 0 },
};

static const char *quirk(struct differ *d, struct differ_request *request)
{
	struct differ_fault *model = &request->model.fault, *qemu = &request->qemu.fault;

	/* 3.2: iotval2 is 0 but for guest page faults. */
	if (qemu->recorded && !is_guest_fault(qemu->reason) && qemu->addr2 == request->iova && !model->addr2) {
		qemu->addr2 = 0;
		return "second-address-always";
	}
	/* 3.2: PV says whether the request had a process id. QEMU: whether the device context has process contexts. */
	if (qemu->recorded && model->recorded && GET(RISCV_DC, PDTV, context_of(d, request->rid)) && !(model->flags & 1) &&
	    (qemu->flags & 1) && !qemu->pasid) {
		qemu->flags &= ~1u;
		return "process-id-always";
	}
	/* 3.2: iotval2 is the guest-physical address. QEMU leaves it out where that is too wide for the second stage. */
	if (qemu->recorded && is_guest_fault(qemu->reason) && !qemu->addr2 && second_stage_bits(context_of(d, request->rid)) < 64 &&
	    model->addr2 >> second_stage_bits(context_of(d, request->rid))) {
		qemu->addr2 = model->addr2;
		return "wide-guest-address";
	}
	/* 3.2: of an access to a first-stage table iotval2 has the entry's address and a flag. QEMU has the page's address alone. */
	if (qemu->recorded && is_guest_fault(qemu->reason) && (model->addr2 & RISCV_IOTVAL2_IMPLICIT) &&
	    qemu->addr2 == (model->addr2 & ~0xfffull)) {
		qemu->addr2 = model->addr2;
		return "implicit-access-address";
	}
	if (is_guest_fault(model->reason) && qemu->reason == model->reason && directory_shares_leaf(d, request)) {
		qemu->addr2 = model->addr2;
		return "directory-read-unchecked";
	}
	/* P Sv39: an address that is not sign-extended is a first-stage fault before any table is looked at. QEMU walks to the root first. */
	if (!is_canonical(d, request) && (model->reason == RISCV_CAUSE_PAGE_READ || model->reason == RISCV_CAUSE_PAGE_WRITE) &&
	    GET(RISCV_DC, G_MODE, context_of(d, request->rid)) != RISCV_G_BARE &&
	    (is_guest_fault(qemu->reason) || qemu->reason == RISCV_CAUSE_ACCESS_READ || qemu->reason == RISCV_CAUSE_ACCESS_WRITE)) {
		request->qemu = request->model;
		return "canonical-check-late";
	}
	/* 2.3: a first-stage table is read, whatever the request is. QEMU wants it to be writable for a write. */
	if ((request->kind == DIFFER_WRITE ? qemu->reason == RISCV_CAUSE_GUEST_WRITE :
	     request->kind == DIFFER_DEBUG && request->access == IOMMU_WRITE && !request->qemu.done) &&
	    table_is_read_only(d, request)) {
		request->qemu = request->model;
		return "table-read-needs-write";
	}
	/* 5.26: with S=0 the response is about one page of 4 KiB. QEMU gives the first of the large page. */
	if (request->kind == DIFFER_DEBUG && request->model.done && request->qemu.done && request->model.data > 12 &&
	    request->qemu.data == 12 && request->qemu.phys == (request->model.phys & ~layout_mask(request->model.data))) {
		request->qemu = request->model;
		return "debug-large-page";
	}
	/* 2.3.2: what the second stage says of a process directory's address is reported as it is. QEMU: an entry that can't be read. */
	if (GET(RISCV_DC, PDTV, context_of(d, request->rid)) && is_guest_fault(model->reason) &&
	    model->addr2 >> 12 == GET(RISCV_DC, FSC_PPN, context_of(d, request->rid)) &&
	    (model->addr2 & RISCV_IOTVAL2_IMPLICIT) && qemu->reason == RISCV_CAUSE_PDT_ACCESS) {
		qemu->reason = model->reason;
		qemu->addr2 = model->addr2;
		return "process-directory-guest-fault";
	}
	/* 2.1.4: an iosatp mode that the unit lacks is a misconfiguration. QEMU calls those above Sv57 an entry that is not valid. */
	if (model->reason == RISCV_CAUSE_DDT_MISCONFIGURED && qemu->reason == RISCV_CAUSE_DDT_ABSENT &&
	    !GET(RISCV_DC, PDTV, context_of(d, request->rid)) && GET(RISCV_DC, FSC_MODE, context_of(d, request->rid)) > RISCV_S_SV57) {
		qemu->reason = model->reason;
		return "reserved-mode-is-absent";
	}
	/* 2.1.4: an iohgatp mode that the unit lacks is a misconfiguration. QEMU meets it when it translates a process directory's address. */
	if (model->reason == RISCV_CAUSE_DDT_MISCONFIGURED && qemu->reason == RISCV_CAUSE_PDT_ACCESS &&
	    GET(RISCV_DC, PDTV, context_of(d, request->rid)) && second_stage_bits(context_of(d, request->rid)) == 0) {
		qemu->reason = model->reason;
		return "reserved-guest-mode-late";
	}
	/* 2.1.4: GADE and SADE are for units with capabilities.AMO_HWAD. QEMU's is none, takes them, and lets A=0 and D=0 pass. */
	if ((GET(RISCV_DC, GADE, context_of(d, request->rid)) || GET(RISCV_DC, SADE, context_of(d, request->rid))) &&
	    (model->reason == RISCV_CAUSE_DDT_MISCONFIGURED || (request->kind == DIFFER_DEBUG && !request->model.done))) {
		request->qemu = request->model;
		return "update-without-capability";
	}
	/* 2.1.4: a process directory's mode must be one that the unit has. QEMU refuses those it knows and lacks, not the reserved ones. */
	if (GET(RISCV_DC, PDTV, context_of(d, request->rid)) && GET(RISCV_DC, FSC_MODE, context_of(d, request->rid)) > RISCV_PDTP_PD20 &&
	    (model->reason == RISCV_CAUSE_DDT_MISCONFIGURED || (request->kind == DIFFER_DEBUG && !request->model.done))) {
		request->qemu = request->model;
		return "reserved-directory-mode";
	}
	/* 2.3: an address beyond capabilities.PAS is an access fault. QEMU lets it pass where nothing translates it. */
	if (request->iova >> PAS && !request->model.done && request->kind == DIFFER_DEBUG && request->qemu.done &&
	    request->qemu.phys == (request->iova & ((1ull << PAS) - 4096))) {
		request->qemu = request->model;
		return "width-not-checked";
	}
	if (request->iova >> PAS && (model->reason == RISCV_CAUSE_ACCESS_READ || model->reason == RISCV_CAUSE_ACCESS_WRITE) &&
	    !qemu->recorded && !request->qemu.phys && !request->qemu.data) {
		request->qemu = request->model;
		return "width-not-checked";
	}
	return NULL;
}

static void print_walk(struct differ *d, const char *what, uint64_t base, unsigned levels, uint64_t addr, bool wide)
{
	printf("    %s, %llx:", what, (unsigned long long)addr);
	for (unsigned level = levels; level--;) {
		uint64_t at = base + ((addr >> (12 + 9 * level)) & (wide && level == levels - 1 ? 0x7ff : 0x1ff)) * 8, pte;

		if (!machine_in_ram(&d->machine, at, 8)) {
			printf(" (%llx is no memory)", (unsigned long long)at);
			break;
		}
		pte = *differ_at(d, at);
		printf(" %llx", (unsigned long long)pte);
		if ((pte & 0xf) != 1)
			break;
		base = RISCV_ADDR(GET(RISCV_PTE, PPN, &pte));
	}
	printf("\n");
}

static void print(struct differ *d, const struct differ_request *request)
{
	const uint64_t *dc = context_of(d, request->rid);
	uint64_t root = RISCV_ADDR(GET(RISCV_DC, FSC_PPN, dc)), guest_root = RISCV_ADDR(GET(RISCV_DC, G_PPN, dc));
	unsigned first = (unsigned)GET(RISCV_DC, FSC_MODE, dc) - 5, second = (unsigned)GET(RISCV_DC, G_MODE, dc) - 5;

	printf("    context");
	for (unsigned i = 0; i < 8; i++)
		printf(" %llx", (unsigned long long)dc[i]);
	printf("\n    %u levels of directory, first entry %llx; process %x, access %u\n", d->mode,
	       (unsigned long long)*differ_at(d, d->tables), request->pasid, request->access);
	if (GET(RISCV_DC, PDTV, dc) && machine_in_ram(&d->machine, root, 8)) {
		const uint64_t *pc = differ_at(d, root + (request->pasid == IOMMU_NO_PASID ? 0 : request->pasid) * 16);

		printf("    process context %llx %llx\n", (unsigned long long)pc[0], (unsigned long long)pc[1]);
		if (second <= 5)
			print_walk(d, "second stage of the process directory", guest_root, second, root, true);
		root = RISCV_ADDR(GET(RISCV_PC, FSC_PPN, pc));
		first = (unsigned)GET(RISCV_PC, FSC_MODE, pc) - 5;
	}
	if (first <= 5)
		print_walk(d, "first stage, as if without the second", root, first, request->iova, false);
	if (second <= 5)
		print_walk(d, "second stage of the root", guest_root, second, root, true);
	if (second <= 5)
		print_walk(d, "second stage of the address itself", guest_root, second, request->iova, true);
}

const struct differ_arch differ_riscv = {
	.name = "riscv",
	.model = &riscv_model,
	.configure = configure,
	.start = start,
	.build = build,
	.open = open_context,
	.flush = flush,
	.take_faults = take_faults,
	.iova = iova,
	.choose_debug = choose_debug,
	.debug = debug,
	.quirk = quirk,
	.blindnesses = blindnesses,
	.print = print,
};
