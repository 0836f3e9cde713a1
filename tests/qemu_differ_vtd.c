/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* qemu_differ_vtd.c - Intel VT-d: context entries, PASID-table entries, tables of the first and of the second stage. */
#include "qemu_differ.h"

#include <hitless/model-vtd.h>

#include "layout/vtd.h"

/* Frames: the root table, the context table, a PASID directory, a PASID table; from 4 on page tables. */
enum { ROOT, CONTEXT, DIRECTORY, PASIDS, FIRST_TABLE };

static bool is_scalable(const struct differ *d)
{
	return d->arch == &differ_vtd;
}

static bool is_first_stage(const struct differ *d)
{
	return d->board == &qemu_vtd_first;
}

static void configure(struct differ *d, struct iommu_model_config *config)
{
	uint64_t registers = d->machine.firmware.registers;
	uint64_t cap = qtest_read(&d->machine.qemu->qtest, registers + VTD_REG_CAP, 8);
	uint64_t ecap = qtest_read(&d->machine.qemu->qtest, registers + VTD_REG_ECAP, 8);

	/* The old IOTLB registers, which nobody uses, elsewhere: the model doesn't have them among the others. */
	SET(VTD_ECAP, IRO, &ecap, 0x50);
	config->capabilities[0] = cap;
	config->capabilities[1] = ecap;
	config->capabilities[3] = GET(VTD_CAP, MGAW, &cap) + 1; /* QEMU has one width for both sides */
}

static void global_command(struct differ *d, uint64_t bits)
{
	differ_write_both(d, VTD_REG_GCMD, 4, bits);
}

static void start(struct differ *d)
{
	uint64_t rtaddr = 0, iqa = 0;

	SET(VTD_RTADDR, TTM, &rtaddr, is_scalable(d) ? VTD_TTM_SCALABLE : VTD_TTM_LEGACY);
	SET_ADDR(VTD_RTADDR, RTA, &rtaddr, differ_table(d, ROOT));
	SET(VTD_IQA, DW, &iqa, is_scalable(d));
	SET_ADDR(VTD_IQA, IQA, &iqa, d->commands);
	differ_write_both(d, VTD_REG_RTADDR, 8, rtaddr);
	global_command(d, BITS(VTD_GCMD, SRTP));
	differ_write_both(d, VTD_REG_IQT, 8, 0);
	differ_write_both(d, VTD_REG_IQA, 8, iqa);
	global_command(d, BITS(VTD_GCMD, QIE));
	global_command(d, BITS(VTD_GCMD, QIE) | BITS(VTD_GCMD, TE));
}

static void flush(struct differ *d)
{
	static const uint64_t commands[] = {
		VTD_DESC_CONTEXT | VTD_CONTEXT_GLOBAL << VTD_DESC_CONTEXT_G_LSB,
		VTD_DESC_PASID | VTD_PASID_CACHE_GLOBAL << VTD_DESC_PASID_G_LSB,
		VTD_DESC_IOTLB | VTD_IOTLB_GLOBAL << VTD_DESC_IOTLB_G_LSB,
	};
	unsigned bytes = is_scalable(d) ? 32 : 16;

	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		uint64_t *slot = differ_at(d, d->commands + d->tail * bytes);

		if (!is_scalable(d) && (commands[i] & 15) == VTD_DESC_PASID)
			continue;
		memset(slot, 0, bytes);
		slot[0] = commands[i];
		d->tail = (d->tail + 1) % (4096 / bytes);
	}
	differ_write_both(d, VTD_REG_IQT, 8, (uint64_t)d->tail * bytes);
}

/* ---- Tables ---- */

static uint64_t a_table(struct differ *d)
{
	return differ_table(d, FIRST_TABLE + differ_pick(DIFFER_TABLES - FIRST_TABLE));
}

/* Of a page, of 2 MiB, or of 1 GiB, which begins where memory does. */
static uint64_t a_page(struct differ *d, bool large)
{
	if (!large)
		return differ_random_data(d);
	return differ_chance(60) ? (uint64_t)(1 + differ_pick(15)) << 21 : differ_chance(80) ? 0 : DIFFER_NOWHERE;
}

static uint64_t a_second_stage_entry(struct differ *d)
{
	bool large = differ_chance(30);
	uint64_t entry = 0;

	if (differ_chance(15))
		return 0;
	SET(VTD_SS, R, &entry, differ_chance(85));
	SET(VTD_SS, W, &entry, differ_chance(80));
	if (differ_chance(60)) {
		SET_ADDR(VTD_SS, ADDR, &entry, a_table(d));
	} else {
		SET(VTD_SS, PS, &entry, large);
		SET_ADDR(VTD_SS, ADDR, &entry, a_page(d, large));
	}
	SET(VTD_SS, IGNORED, &entry, differ_chance(10) ? differ_pick(1024) : 0);
	if (differ_chance(4))
		entry |= differ_flip();
	return entry;
}

static uint64_t a_first_stage_entry(struct differ *d)
{
	bool large = differ_chance(30);
	uint64_t entry = 0;

	if (differ_chance(10))
		return 0;
	SET(VTD_FS, P, &entry, differ_chance(95));
	SET(VTD_FS, RW, &entry, differ_chance(80));
	SET(VTD_FS, US, &entry, differ_chance(92));
	SET(VTD_FS, PWT, &entry, differ_chance(10));
	SET(VTD_FS, PCD, &entry, differ_chance(10));
	SET(VTD_FS, A, &entry, differ_chance(95));
	SET(VTD_FS, D, &entry, differ_chance(95));
	SET(VTD_FS, G, &entry, differ_chance(10));
	if (differ_chance(60)) {
		SET_ADDR(VTD_FS, ADDR, &entry, a_table(d));
	} else {
		SET(VTD_FS, PS, &entry, large);
		SET_ADDR(VTD_FS, ADDR, &entry, a_page(d, large));
	}
	SET(VTD_FS, IGNORED, &entry, differ_chance(10) ? differ_pick(2048) : 0);
	if (differ_chance(4))
		entry |= differ_flip();
	return entry;
}

static uint64_t *context_of(const struct differ *d, uint32_t rid)
{
	return differ_at(d, differ_table(d, CONTEXT) + rid * (is_scalable(d) ? 32 : 16));
}

static void a_context(struct differ *d, uint64_t *entry)
{
	static const unsigned types[] = { VTD_TT_UNTRANSLATED, VTD_TT_UNTRANSLATED, VTD_TT_UNTRANSLATED, VTD_TT_PASS };

	SET(VTD_CONTEXT, P, entry, differ_chance(95));
	SET(VTD_CONTEXT, FPD, entry, differ_chance(4));
	SET(VTD_CONTEXT, TT, entry, differ_chance(95) ? types[differ_pick(4)] : differ_pick(4));
	SET(VTD_CONTEXT, AW, entry, differ_chance(95) ? 1 + differ_pick(2) : differ_pick(8));
	SET(VTD_CONTEXT, DID, entry, differ_pick(8));
	SET_ADDR(VTD_CONTEXT, SSPTPTR, entry, a_table(d));
	if (differ_chance(4))
		entry[differ_pick(2)] |= differ_flip();
}

static void a_scalable_context(struct differ *d, uint64_t *entry)
{
	SET(VTD_SMCONTEXT, P, entry, differ_chance(97));
	SET(VTD_SMCONTEXT, FPD, entry, differ_chance(4));
	SET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, entry, differ_table(d, DIRECTORY));
	if (differ_chance(4))
		entry[differ_pick(4)] |= differ_flip();
}

static void a_pasid_entry(struct differ *d, uint64_t *entry)
{
	unsigned usual = is_first_stage(d) ? VTD_PGTT_FIRST : VTD_PGTT_SECOND;

	SET(VTD_PASID, P, entry, differ_chance(95));
	SET(VTD_PASID, FPD, entry, differ_chance(4));
	SET(VTD_PASID, PGTT, entry, differ_chance(80) ? usual : differ_chance(70) ? VTD_PGTT_PASS : differ_pick(8));
	SET(VTD_PASID, AW, entry, is_first_stage(d) && differ_chance(90) ? VTD_AW_4_LEVEL :
				  differ_chance(95) ? 1 + differ_pick(2) : differ_pick(8));
	SET(VTD_PASID, DID, entry, differ_pick(8));
	SET_ADDR(VTD_PASID, SSPTPTR, entry, a_table(d));
	SET_ADDR(VTD_PASID, FSPTPTR, entry, a_table(d));
	SET(VTD_PASID, SRE, entry, differ_chance(20));
	SET(VTD_PASID, WPE, entry, differ_chance(20));
	SET(VTD_PASID, FSPM, entry, differ_chance(97) ? 0 : differ_pick(4));
	if (differ_chance(5))
		entry[differ_pick(8)] |= differ_flip();
}

static void build(struct differ *d)
{
	uint64_t *root = differ_at(d, differ_table(d, ROOT));
	uint32_t rids[] = { d->testdev->rid, d->edu->rid };

	for (unsigned table = FIRST_TABLE; table < DIFFER_TABLES; table++)
		for (unsigned i = 0; i < 24; i++)
			differ_at(d, differ_table(d, table))[differ_index()] =
				is_first_stage(d) ? a_first_stage_entry(d) : a_second_stage_entry(d);
	SET(VTD_ROOT, P, root, differ_chance(98));
	SET_ADDR(VTD_ROOT, CTP, root, differ_table(d, CONTEXT));
	if (differ_chance(2))
		root[differ_pick(2)] |= differ_flip();
	for (unsigned i = 0; i < 2; i++)
		if (is_scalable(d))
			a_scalable_context(d, context_of(d, rids[i]));
		else
			a_context(d, context_of(d, rids[i]));
	if (is_scalable(d)) {
		uint64_t *directory = differ_at(d, differ_table(d, DIRECTORY));

		SET(VTD_PASIDDIR, P, directory, differ_chance(97));
		SET_ADDR(VTD_PASIDDIR, SMPTBLPTR, directory, differ_table(d, PASIDS));
		if (differ_chance(3))
			*directory |= differ_flip();
		a_pasid_entry(d, differ_at(d, differ_table(d, PASIDS)));
	}
}

static void open_entry(struct differ *d, uint32_t rid)
{
	uint64_t *entry = context_of(d, rid), *root = differ_at(d, differ_table(d, ROOT));

	root[1] = 0;
	root[0] = differ_table(d, CONTEXT) | 1;
	memset(entry, 0, is_scalable(d) ? 32 : 16);
	if (is_scalable(d)) {
		uint64_t *directory = differ_at(d, differ_table(d, DIRECTORY)), *pasid = differ_at(d, differ_table(d, PASIDS));

		SET(VTD_SMCONTEXT, P, entry, 1);
		SET_ADDR(VTD_SMCONTEXT, PASIDDIRPTR, entry, differ_table(d, DIRECTORY));
		*directory = differ_table(d, PASIDS) | 1;
		memset(pasid, 0, 64);
		SET(VTD_PASID, P, pasid, 1);
		SET(VTD_PASID, PGTT, pasid, VTD_PGTT_PASS);
		SET(VTD_PASID, AW, pasid, VTD_AW_4_LEVEL);
		SET(VTD_PASID, DID, pasid, 9);
	} else {
		SET(VTD_CONTEXT, P, entry, 1);
		SET(VTD_CONTEXT, TT, entry, VTD_TT_PASS);
		SET(VTD_CONTEXT, AW, entry, VTD_AW_4_LEVEL);
		SET(VTD_CONTEXT, DID, entry, 9);
	}
}

static uint64_t iova(struct differ *d)
{
	uint64_t addr = (machine_random() >> 30) & 0xfff;
	unsigned levels = differ_chance(50) ? 3 : 4;

	for (unsigned level = 0; level < levels; level++)
		addr |= (uint64_t)differ_index() << (12 + 9 * level);
	if (is_first_stage(d) && differ_chance(50))
		addr = (uint64_t)((int64_t)(addr << 16) >> 16);
	if (differ_chance(4))
		addr |= 1ull << (48 + differ_pick(16));
	/* No large page that begins where memory does leads to the hole below 1 MiB. Writes to 0xfee00000 are interrupts. */
	addr |= 1u << 20;
	return addr >> 20 == 0xfee ? addr ^ 0x200000 : addr;
}

/* ---- Records ---- */

static void take_faults(struct differ *d, bool qemu, struct differ_fault *fault)
{
	uint64_t cap = d->config.capabilities[0], at = GET(VTD_CAP, FRO, &cap) * 16, record[2];

	record[1] = differ_read(d, qemu, at + 8, 8);
	if (!(record[1] >> 63))
		return;
	record[0] = differ_read(d, qemu, at, 8);
	*fault = (struct differ_fault){
		.recorded = true,
		.reason = (uint32_t)GET(VTD_FAULT, FR, record),
		.rid = (uint32_t)GET(VTD_FAULT, SID, record),
		.pasid = (uint32_t)GET(VTD_FAULT, PV, record),
		.access = (uint32_t)(GET(VTD_FAULT, T1, record) | GET(VTD_FAULT, T2, record) << 1),
		.flags = (uint32_t)(GET(VTD_FAULT, PP, record) | GET(VTD_FAULT, EXE, record) << 1 | GET(VTD_FAULT, PRIV, record) << 2 |
				    GET(VTD_FAULT, AT, record) << 3),
		.addr = GET_ADDR(VTD_FAULT, FI, record),
	};
	differ_write(d, qemu, at + 8, 8, 1ull << 63);
	differ_write(d, qemu, VTD_REG_FSTS, 4, 1);
}

/* Chapter 7: scalable mode has codes of its own for what legacy mode also has. */
static const uint8_t twins[][2] = {
	{ VTD_FR_ROOT_ACCESS, VTD_FR_ROOT_ACCESS_SM },
	{ VTD_FR_ROOT_ABSENT, VTD_FR_ROOT_ABSENT_SM },
	{ VTD_FR_ROOT_RESERVED, VTD_FR_ROOT_RESERVED_SM },
	{ VTD_FR_CONTEXT_ACCESS, VTD_FR_CONTEXT_ACCESS_SM },
	{ VTD_FR_CONTEXT_ABSENT, VTD_FR_CONTEXT_ABSENT_SM },
	{ VTD_FR_CONTEXT_RESERVED, VTD_FR_CONTEXT_RESERVED_SM },
	{ VTD_FR_CONTEXT_INVALID, VTD_FR_CONTEXT_INVALID_SM },
	{ VTD_FR_TABLE_ACCESS, VTD_FR_SS_ACCESS_SM },
	{ VTD_FR_TABLE_ACCESS, VTD_FR_SSPTPTR_ACCESS },
	{ VTD_FR_SS_WRITE, VTD_FR_SS_ABSENT_SM },
	{ VTD_FR_SS_READ, VTD_FR_SS_ABSENT_SM },
	{ VTD_FR_SS_WRITE, VTD_FR_FS_WRITE },
	{ VTD_FR_SS_READ, VTD_FR_FS_READ },
	{ VTD_FR_TABLE_RESERVED, VTD_FR_SS_RESERVED_SM },
	{ VTD_FR_ADDRESS_WIDTH, VTD_FR_SS_ADDRESS_SM },
};

static bool is_pass_through(struct differ *d, const struct differ_request *request)
{
	const uint64_t *pasid = differ_at(d, differ_table(d, PASIDS));

	return is_scalable(d) ? GET(VTD_PASID, PGTT, pasid) == VTD_PGTT_PASS :
				GET(VTD_CONTEXT, TT, context_of(d, request->rid)) == VTD_TT_PASS;
}

/* Is there an entry without that bit on the way to the address, before the walk ends? First stage. */
static bool way_lacks(struct differ *d, uint64_t iova, uint64_t bit)
{
	uint64_t base = GET_ADDR(VTD_PASID, FSPTPTR, differ_at(d, differ_table(d, PASIDS)));

	for (unsigned level = 4; level--;) {
		uint64_t at = base + ((iova >> (12 + 9 * level)) & 0x1ff) * 8, entry;

		if (!machine_in_ram(&d->machine, at, 8))
			return false;
		entry = *differ_at(d, at);
		if (!GET(VTD_FS, P, &entry))
			return false;
		if (!(entry & bit))
			return true;
		if (GET(VTD_FS, PS, &entry))
			return false;
		base = GET_ADDR(VTD_FS, ADDR, &entry);
	}
	return false;
}

/* 9.6: reserved bits must be 0. QEMU looks at few of them. */
static void clear_pasid_entry(struct differ *d, const struct differ_request *request)
{
	uint64_t used[8] = { 0 }, *entry = differ_at(d, differ_table(d, PASIDS));

	(void)request;
	VTD_PASID_LIST(VTD_PASID, LAYOUT_NAME_BITS)
	for (unsigned i = 0; i < 8; i++)
		entry[i] &= used[i];
	/* Reserved without ECAP.SRS, .NWFS and .EAFS. */
	SET(VTD_PASID, SRE, entry, 0);
	SET(VTD_PASID, WPE, entry, 0);
	SET(VTD_PASID, EAFE, entry, 0);
}

/* 9.5: the same. */
static void clear_directory(struct differ *d, const struct differ_request *request)
{
	uint64_t used[1] = { 0 };

	(void)request;
	VTD_PASIDDIR_LIST(VTD_PASIDDIR, LAYOUT_NAME_BITS)
	*differ_at(d, differ_table(d, DIRECTORY)) &= used[0];
}

/* 9.4: without ECAP.RPS, DT, PASID and PRS their fields are reserved. QEMU ignores them. */
static void clear_context(struct differ *d, const struct differ_request *request)
{
	if (is_scalable(d)) {
		SET(VTD_SMCONTEXT, RID_PASID, context_of(d, request->rid), 0);
		SET(VTD_SMCONTEXT, RID_PRIV, context_of(d, request->rid), 0);
		SET(VTD_SMCONTEXT, DTE, context_of(d, request->rid), 0);
		SET(VTD_SMCONTEXT, PASIDE, context_of(d, request->rid), 0);
		SET(VTD_SMCONTEXT, PRE, context_of(d, request->rid), 0);
	}
}

static const struct differ_blindness blindnesses[] = {
	{ "reserved-bits-of-pasid-entry", clear_pasid_entry },
	{ "reserved-bits-of-directory", clear_directory },
	{ "fields-of-context-ignored", clear_context },
	{ 0 },
};

static const char *quirk(struct differ *d, struct differ_request *request)
{
	struct differ_fault *model = &request->model.fault, *qemu = &request->qemu.fault;

	for (unsigned i = 0; i < sizeof(twins) / sizeof(twins[0]) && is_scalable(d); i++)
		if (qemu->reason == twins[i][0] && model->reason == twins[i][1]) {
			qemu->reason = model->reason;
			return "legacy-codes";
		}
	/* An entry with a reserved bit set that also lacks the right: the specification doesn't say which is looked at first. */
	if ((model->reason == VTD_FR_TABLE_RESERVED || model->reason == VTD_FR_SS_RESERVED_SM) &&
	    qemu->reason == (request->kind == DIFFER_WRITE ? VTD_FR_SS_WRITE : VTD_FR_SS_READ)) {
		qemu->reason = model->reason;
		return "permission-before-reserved";
	}
	if (is_scalable(d) && model->reason == VTD_FR_PASID_ABSENT && qemu->reason == VTD_FR_PASID_INVALID &&
	    !GET(VTD_PASID, P, differ_at(d, differ_table(d, PASIDS)))) {
		qemu->reason = model->reason;
		return "absent-pasid-entry-code";
	}
	/* Two faults in one: a reserved bit, and a type or a width that the unit doesn't have. */
	if (model->reason == VTD_FR_PASID_RESERVED && qemu->reason == VTD_FR_PASID_INVALID) {
		unsigned type = (unsigned)GET(VTD_PASID, PGTT, differ_at(d, differ_table(d, PASIDS)));

		if (GET(VTD_PASID, AW, differ_at(d, differ_table(d, PASIDS))) < VTD_AW_3_LEVEL ||
		    GET(VTD_PASID, AW, differ_at(d, differ_table(d, PASIDS))) > VTD_AW_4_LEVEL)
			type = 0;
		if (is_first_stage(d) && GET(VTD_PASID, FSPM, differ_at(d, differ_table(d, PASIDS))) != VTD_FSPM_4_LEVEL)
			type = 0;
		if (type != VTD_PGTT_PASS && type != (is_first_stage(d) ? VTD_PGTT_FIRST : VTD_PGTT_SECOND)) {
			qemu->reason = model->reason;
			return "type-before-reserved";
		}
	}
	/* 9.6: address bits beyond the host's width are reserved. QEMU goes there. */
	if (model->reason == VTD_FR_PASID_RESERVED && !request->qemu.done && !request->qemu.data &&
	    differ_at(d, differ_table(d, PASIDS))[is_first_stage(d) ? 2 : 0] >> 48 &&
	    (qemu->reason == (is_first_stage(d) ? VTD_FR_FSPTPTR_ACCESS : VTD_FR_CONTEXT_INVALID) ||
	     qemu->reason == (is_first_stage(d) ? VTD_FR_FS_NOT_CANONICAL : VTD_FR_ADDRESS_WIDTH))) {
		qemu->reason = model->reason;
		return "wide-root-address";
	}
	/* 9.5: address bits beyond the host's width are reserved. QEMU goes there, and finds nothing. */
	if (!request->model.done && request->model.inside == VTD_FR_PASIDDIR_RESERVED && qemu->reason == VTD_FR_PASID_ACCESS &&
	    *differ_at(d, differ_table(d, DIRECTORY)) >> 48) {
		*qemu = *model; /* with FPD it is not recorded */
		return "wide-directory-address";
	}
	/* 9.6: AW is the second stage's. QEMU takes a first stage's width from it, too. */
	if (is_first_stage(d) &&
	    (qemu->reason == VTD_FR_FS_NOT_CANONICAL ||
	     (!qemu->recorded && (GET(VTD_PASID, FPD, differ_at(d, differ_table(d, PASIDS))) ||
				  GET(VTD_SMCONTEXT, FPD, context_of(d, request->rid))))) &&
	    GET(VTD_PASID, PGTT, differ_at(d, differ_table(d, PASIDS))) == VTD_PGTT_FIRST &&
	    GET(VTD_PASID, AW, differ_at(d, differ_table(d, PASIDS))) != VTD_AW_4_LEVEL) {
		request->qemu = request->model;
		request->tables_differ = false;
		return "first-stage-width-from-aw";
	}
	/* 3.6: an entry that is not present, or has a reserved bit set, ends the walk; rights count at its end. QEMU's count on the way. */
	if ((model->reason == VTD_FR_FS_ABSENT || model->reason == VTD_FR_FS_RESERVED) &&
	    ((qemu->reason == VTD_FR_FS_USER && way_lacks(d, request->iova, BITS(VTD_FS, US))) ||
	     (qemu->reason == VTD_FR_FS_WRITE && way_lacks(d, request->iova, BITS(VTD_FS, RW))))) {
		qemu->reason = model->reason;
		return "rights-before-presence";
	}
	/* 3.6.2: A is set in what a translation uses. QEMU sets it on the way, also if the walk then fails; nothing forbids that. */
	if (is_first_stage(d) && request->tables_differ && !request->model.done) {
		request->tables_differ = false;
		return "accessed-on-the-way";
	}
	/* Chapter 7: FPD suppresses qualified faults. To QEMU a reserved bit of the context entry is not one of those. */
	if (GET(VTD_CONTEXT, FPD, context_of(d, request->rid)) && !model->recorded && qemu->reason == VTD_FR_CONTEXT_RESERVED) {
		*qemu = *model;
		return "reserved-context-is-recorded";
	}
	/* 9.6: FPD counts in an entry that is not present, too. QEMU takes it from the context entry. */
	if (is_scalable(d) && !request->model.done && !model->recorded && qemu->recorded && !GET(VTD_SMCONTEXT, FPD, context_of(d, request->rid)) &&
	    (GET(VTD_PASID, FPD, differ_at(d, differ_table(d, PASIDS))) || GET(VTD_PASIDDIR, FPD, differ_at(d, differ_table(d, DIRECTORY))))) {
		*qemu = *model;
		return "fpd-of-pasid-entry";
	}
	/* 9.3: pass-through ignores the pointer. QEMU checks it. */
	if (!is_scalable(d) && is_pass_through(d, request) && qemu->reason == VTD_FR_CONTEXT_RESERVED &&
	    context_of(d, request->rid)[0] >> 48) {
		request->qemu = request->model;
		return "pointer-of-pass-through";
	}
	/* A user's write to a page that is neither: the specification doesn't say which of the two rights is named. */
	if (model->reason == VTD_FR_FS_USER && qemu->reason == VTD_FR_FS_WRITE && way_lacks(d, request->iova, BITS(VTD_FS, US)) &&
	    way_lacks(d, request->iova, BITS(VTD_FS, RW))) {
		qemu->reason = model->reason;
		return "which-right";
	}
	/* 9.2: each half of a root entry is about 16 devices of its own. QEMU wants both without reserved bits. */
	if (is_scalable(d) && qemu->reason == VTD_FR_ROOT_RESERVED && differ_at(d, differ_table(d, ROOT))[1] &&
	    model->reason != VTD_FR_ROOT_RESERVED_SM) {
		request->qemu = request->model;
		return "other-half-of-root";
	}
	/* 3.6.2: a walk that does not snoop can't set A and D, and faults where it must. QEMU sets them. */
	if (!request->model.done && request->model.inside == VTD_FR_FS_AD_NO_SNOOP) {
		request->qemu = request->model;
		request->tables_differ = false;
		return "accessed-without-snoop";
	}
	/* An address beyond the width is a fault in pass-through as well. QEMU looks at nothing there. */
	if (is_pass_through(d, request) && request->iova >> 39 && !qemu->recorded &&
	    (model->reason == VTD_FR_ADDRESS_WIDTH || model->reason == VTD_FR_HOST_ADDRESS_SM || model->reason == VTD_FR_SS_ADDRESS_SM)) {
		request->qemu = request->model;
		return "pass-through-width";
	}
	return NULL;
}

static void print(struct differ *d, const struct differ_request *request)
{
	const uint64_t *entry = context_of(d, request->rid), *root = differ_at(d, differ_table(d, ROOT));
	const uint64_t *pasid = differ_at(d, differ_table(d, PASIDS));
	unsigned levels = is_scalable(d) ? (unsigned)GET(VTD_PASID, AW, pasid) + 2 : (unsigned)GET(VTD_CONTEXT, AW, entry) + 2;
	uint64_t base = is_scalable(d) ? GET_ADDR(VTD_PASID, SSPTPTR, pasid) : GET_ADDR(VTD_CONTEXT, SSPTPTR, entry);

	printf("    root %llx %llx, context", (unsigned long long)root[0], (unsigned long long)root[1]);
	for (unsigned i = 0; i < (is_scalable(d) ? 4u : 2u); i++)
		printf(" %llx", (unsigned long long)entry[i]);
	if (is_scalable(d)) {
		printf("\n    directory %llx, PASID entry", (unsigned long long)*differ_at(d, differ_table(d, DIRECTORY)));
		for (unsigned i = 0; i < 8; i++)
			printf(" %llx", (unsigned long long)pasid[i]);
		if (GET(VTD_PASID, PGTT, pasid) == VTD_PGTT_FIRST) {
			levels = 4;
			base = GET_ADDR(VTD_PASID, FSPTPTR, pasid);
		}
	}
	printf("\n    walk:");
	for (unsigned level = levels; level-- && level < 6;) {
		uint64_t at = base + ((request->iova >> (12 + 9 * level)) & 0x1ff) * 8, pte;

		if (!machine_in_ram(&d->machine, at, 8))
			break;
		pte = *differ_at(d, at);
		printf(" %llx", (unsigned long long)pte);
		if (!(pte & 3) || (pte & 0x80))
			break;
		base = pte & 0xffffffffff000ull;
	}
	printf("\n");
}

#define ARCH(text) \
	{ \
		.name = text, .model = &vtd_model, .configure = configure, .start = start, .build = build, .open = open_entry, \
		.flush = flush, .take_faults = take_faults, .iova = iova, .quirk = quirk, .blindnesses = blindnesses, \
		.print = print, .hole = 0xa0000, \
		.hole_end = 0x100000, \
	}

const struct differ_arch differ_vtd_legacy = ARCH("vtd-legacy");
const struct differ_arch differ_vtd = ARCH("vtd");
