/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * qemu_differ.c - our models against QEMU's, request by request; see qemu_differ.h.
 *
 *	qemu-differ ARCH [REQUESTS [SEED]]
 *
 * ARCH: riscv, vtd-legacy, vtd-second, vtd-first, amdvi, smmuv3. A disagreement that no quirk of QEMU's explains is printed with both views, and
 * the exit status is 10. The same seed gives the same requests.
 */
#include "qemu_differ.h"

#define RAM_BYTES (32u << 20)
#define REQUESTS_A_ROUND 48
#define MAX_TOLD 3
#define MAX_QUIRKS 8

static const struct {
	const char *name;
	const struct differ_arch *arch;
	const struct qemu_board *board;
} units[] = {
	{ "riscv", &differ_riscv, &qemu_riscv_pci },
	{ "vtd-legacy", &differ_vtd_legacy, &qemu_vtd_legacy },
	{ "vtd-second", &differ_vtd, &qemu_vtd_second },
	{ "vtd-first", &differ_vtd, &qemu_vtd_first },
	{ "amdvi", &differ_amdvi, &qemu_amdvi },
	{ "smmuv3", &differ_smmuv3, &qemu_smmuv3 },
};

/* ---- The model's port: memory, and a log of what it stores ---- */

static bool port_read64(void *ctx, uint64_t addr, uint64_t *value)
{
	struct differ *d = ctx;

	if (!machine_in_ram(&d->machine, addr, 8))
		return false;
	*value = *differ_at(d, addr);
	return true;
}

static bool port_read128(void *ctx, uint64_t addr, uint64_t value[2])
{
	return addr % 16 == 0 && port_read64(ctx, addr, value) && port_read64(ctx, addr + 8, value + 1);
}

static bool port_write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct differ *d = ctx;

	if (!machine_in_ram(&d->machine, addr, 8))
		return false;
	if (d->nlog == DIFFER_LOG) {
		fprintf(stderr, "the model stores too much\n");
		exit(1);
	}
	d->log[d->nlog][0] = addr;
	d->log[d->nlog][1] = *differ_at(d, addr);
	d->log[d->nlog++][2] = value;
	*differ_at(d, addr) = value;
	return true;
}

static bool port_write32(void *ctx, uint64_t addr, uint32_t value)
{
	uint64_t word;
	unsigned shift = addr & 4 ? 32 : 0;

	if (!port_read64(ctx, addr & ~7ull, &word))
		return false;
	return port_write64(ctx, addr & ~7ull, (word & ~(0xffffffffull << shift)) | (uint64_t)value << shift);
}

static bool port_cas64(void *ctx, uint64_t addr, uint64_t *expected, uint64_t value)
{
	uint64_t found;

	if (!port_read64(ctx, addr, &found))
		return false;
	if (found != *expected) {
		*expected = found;
		return false;
	}
	return port_write64(ctx, addr, value);
}

void differ_take_back(struct differ *d)
{
	for (unsigned i = d->nlog; i--;)
		*differ_at(d, d->log[i][0]) = d->log[i][1];
}

/* ---- Registers ---- */

uint64_t differ_read(struct differ *d, bool qemu, uint64_t offset, unsigned size)
{
	return qemu ? qtest_read(&d->machine.qemu->qtest, d->machine.firmware.registers + offset, size) :
		      iommu_model_read(&d->model, offset, size);
}

void differ_write(struct differ *d, bool qemu, uint64_t offset, unsigned size, uint64_t value)
{
	if (qemu) {
		qtest_write(&d->machine.qemu->qtest, d->machine.firmware.registers + offset, size, value);
		return;
	}
	iommu_model_write(&d->model, offset, size, value);
	while (iommu_model_tick(&d->model))
		;
}

void differ_write_both(struct differ *d, uint64_t offset, unsigned size, uint64_t value)
{
	differ_write(d, false, offset, size, value);
	differ_write(d, true, offset, size, value);
}

/* ---- Requests ---- */

static bool in_tables(const struct differ *d, uint64_t addr)
{
	return addr >= d->tables && addr < differ_table(d, DIFFER_FRAMES);
}

/* Did QEMU leave the tables as the model did, less the records and the word that the request itself wrote? */
static bool same_tables(struct differ *d, const struct differ_request *request)
{
	for (unsigned i = 0; i < d->nlog; i++)
		if (in_tables(d, d->log[i][0])) {
			uint64_t final = d->log[i][2];

			for (unsigned k = i + 1; k < d->nlog; k++)
				if (d->log[k][0] == d->log[i][0])
					final = d->log[k][2];
			if (*differ_at(d, d->log[i][0]) != final)
				return false;
			*differ_at(d, d->log[i][0]) = d->log[i][1];
		}
	(void)request;
	return memcmp(differ_at(d, d->tables), d->pristine, DIFFER_FRAMES * 4096) == 0;
}

/* What memory holds, but the tables. */
static uint32_t first_word(uint64_t at)
{
	return 0x80000000 + (uint32_t)(at << 2);
}

/* Where in memory the word is; 0: nowhere. */
static uint64_t find_word(const struct differ *d, uint64_t first, uint64_t bytes, uint32_t word)
{
	const uint32_t *words = machine_virt(&d->machine, first);

	for (uint64_t i = 0; i < bytes / 4; i++)
		if (words[i] == word)
			return first + i * 4;
	return 0;
}

static void ask_model(struct differ *d, struct differ_request *request)
{
	struct iommu_request r = {
		.rid = request->rid,
		.pasid = IOMMU_NO_PASID,
		.addr = request->iova,
		.access = request->kind == DIFFER_WRITE ? IOMMU_WRITE : IOMMU_READ,
		.kind = IOMMU_REQUEST_UNTRANSLATED,
	};

	d->nlog = 0;
	request->model = (struct differ_view){ 0 };
	if (request->kind == DIFFER_DEBUG) {
		d->arch->debug(d, false, request);
		differ_take_back(d);
		return;
	}
	if (iommu_model_translate(&d->model, &r) == IOMMU_REQUEST_DONE) {
		request->model.done = true;
		request->model.phys = r.phys;
		/* The tables may be changed for the model's sake; the data is what QEMU found. */
		if (request->kind == DIFFER_READ && in_tables(d, r.phys))
			request->model.data = *(uint32_t *)(d->pristine + (r.phys - d->tables));
		else if (request->kind == DIFFER_READ && machine_in_ram(&d->machine, r.phys, 4))
			request->model.data = *(uint32_t *)machine_virt(&d->machine, r.phys);
	}
	request->model.inside = r.reason;
	iommu_model_end(&d->model, &r);
	d->arch->take_faults(d, false, &request->model.fault);
	differ_take_back(d);
}

/* Where a write may have landed that nobody expected: in a frame of ours, or in a large page, whose low bits are the address's own. */
static uint64_t find_pattern(const struct differ *d, uint64_t iova)
{
	const uint32_t pattern = (uint32_t)QEMU_TESTDEV_WORD;
	uint64_t found = find_word(d, d->tables, d->dump - d->tables, pattern);

	for (unsigned bits = 21; bits <= 48 && !found; bits += 9)
		for (uint64_t base = 0; base < d->machine.ram_bytes && !found; base += 1ull << bits) {
			uint64_t at = d->machine.ram_base + base + (iova & ((1ull << bits) - 1));

			if (machine_in_ram(&d->machine, at, 4) && *(uint32_t *)machine_virt(&d->machine, at) == pattern)
				found = at;
		}
	return found;
}

/* QEMU's write: where did it land? What was there comes back. */
static void write_qemu(struct differ *d, struct differ_request *request)
{
	const uint32_t pattern = (uint32_t)QEMU_TESTDEV_WORD;
	uint64_t expected = request->model.done && machine_in_ram(&d->machine, request->model.phys, 4) ? request->model.phys : 0;
	uint32_t *place = expected ? machine_virt(&d->machine, expected) : NULL, old = place ? *place : 0;
	bool said;

	said = qemu_testdev_write(d->machine.qemu, d->testdev, request->iova, 4);
	if (place && *place == pattern) {
		request->qemu.phys = expected;
		*place = old;
	} else if (said || d->arch->silent_writes) {
		uint64_t found = find_pattern(d, request->iova);

		/* Not where it was expected: then anywhere. */
		if (!found && said && !d->arch->silent_writes)
			found = find_word(d, d->machine.ram_base, d->machine.ram_bytes, pattern);
		request->qemu.phys = found;
		if (in_tables(d, found))
			*(uint32_t *)machine_virt(&d->machine, found) = *(uint32_t *)(d->pristine + (found - d->tables));
		else if (found)
			*(uint32_t *)machine_virt(&d->machine, found) = first_word(found);
	}
	request->qemu.done = d->arch->silent_writes ? request->qemu.phys != 0 : said;
}

static bool same_fault(const struct differ_fault *a, const struct differ_fault *b)
{
	return a->recorded == b->recorded && a->reason == b->reason && a->rid == b->rid && a->pasid == b->pasid &&
	       a->access == b->access && a->flags == b->flags && a->addr == b->addr && a->addr2 == b->addr2;
}

static bool agree(const struct differ *d, const struct differ_request *request)
{
	const struct differ_view *model = &request->model, *qemu = &request->qemu;

	if (!same_fault(&model->fault, &qemu->fault) || request->tables_differ)
		return false;
	/* Where there is no memory, nothing can be seen but that no fault was recorded. */
	if (model->done && request->kind != DIFFER_DEBUG && !machine_in_ram(&d->machine, model->phys, 4))
		return qemu->phys == 0 || qemu->phys == model->phys;
	if (request->kind == DIFFER_READ)
		return model->data == qemu->data;
	return model->done == qemu->done && model->phys == qemu->phys;
}

/* ---- Telling ---- */

static void print_field(const char *name, uint64_t model, uint64_t qemu)
{
	printf("    %-10s %18llx %18llx%s\n", name, (unsigned long long)model, (unsigned long long)qemu,
	       model == qemu ? "" : "   <--");
}

static void tell(struct differ *d, const struct differ_request *request)
{
	static const char *const kinds[] = { "write", "read", "debug request" };
	const struct differ_view *model = &request->model, *qemu = &request->qemu;

	printf("%s, seed %llu: %s of %02x.%x to %llx%s\n    %-10s %18s %18s\n", d->arch->name, (unsigned long long)d->seed,
	       kinds[request->kind], request->rid >> 3,
	       request->rid & 7, (unsigned long long)request->iova, request->tables_differ ? ", and the tables differ" : "",
	       "", "model", "QEMU");
	print_field("done", model->done, qemu->done);
	print_field("address", model->phys, qemu->phys);
	print_field("data", model->data, qemu->data);
	print_field("recorded", model->fault.recorded, qemu->fault.recorded);
	print_field("reason", model->fault.reason, qemu->fault.reason);
	print_field("requester", model->fault.rid, qemu->fault.rid);
	print_field("pasid", model->fault.pasid, qemu->fault.pasid);
	print_field("access", model->fault.access, qemu->fault.access);
	print_field("flags", model->fault.flags, qemu->fault.flags);
	print_field("at", model->fault.addr, qemu->fault.addr);
	print_field("also at", model->fault.addr2, qemu->fault.addr2);
	d->arch->print(d, request);
}

static struct {
	const char *name;
	uint64_t count;
} quirks[32];

static unsigned told;

static void count_quirk(const char *name)
{
	unsigned i = 0;

	while (quirks[i].name && strcmp(quirks[i].name, name) != 0)
		i++;
	quirks[i].name = name;
	quirks[i].count++;
}

/* Which quirks explain the difference; how many, or -1: they don't. */
static int explain(struct differ *d, const struct differ_request *request, const char *names[MAX_QUIRKS])
{
	struct differ_request rest = *request;
	int n = 0;

	while (!agree(d, &rest)) {
		names[n] = n + 1 < MAX_QUIRKS ? d->arch->quirk(d, &rest) : NULL;
		if (!names[n++])
			return -1;
	}
	return n;
}

/* The same if QEMU is blind to one thing or several: what the model says with those changed away must be what QEMU says. */
static int explain_blind(struct differ *d, const struct differ_request *request, const char *names[MAX_QUIRKS])
{
	const struct differ_blindness *blind = d->arch->blindnesses;
	unsigned count = 0;

	while (blind && blind[count].name)
		count++;
	for (unsigned mask = 1; mask < 1u << count; mask++) {
		struct differ_request again = *request;
		int n;

		for (unsigned i = 0; i < count; i++)
			if (mask & 1u << i)
				blind[i].change(d, request);
		d->arch->flush(d);
		ask_model(d, &again);
		n = explain(d, &again, names);
		memcpy(differ_at(d, d->tables), d->pristine, DIFFER_FRAMES * 4096);
		for (unsigned i = 0; i < count && n >= 0; i++)
			if (mask & 1u << i && n < MAX_QUIRKS)
				names[n++] = blind[i].name;
		if (n >= 0)
			return n;
	}
	return -1;
}

static void judge(struct differ *d, const struct differ_request *request)
{
	const char *names[MAX_QUIRKS];
	int n = explain(d, request, names);

	if (n < 0)
		n = explain_blind(d, request, names);
	d->requests++;
	d->done += request->model.done;
	d->faults += request->model.fault.recorded;
	d->explained += n > 0;
	for (int i = 0; i < n; i++)
		count_quirk(names[i]);
	if (n < 0 && told++ < MAX_TOLD)
		tell(d, request);
}

/* ---- Rounds ---- */

/* What edu has read, by a write of its own through an entry that lets it. */
static void judge_reads(struct differ *d)
{
	uint32_t *dump = machine_virt(&d->machine, d->dump);

	if (!d->nreads)
		return;
	d->arch->open(d, d->edu->rid);
	d->arch->flush(d);
	memset(dump, 0xee, 4096);
	qemu_edu_write(d->machine.qemu, d->edu, d->dump, 0, d->nreads * 4);
	if (dump[0] == 0xeeeeeeee) {
		fprintf(stderr, "edu can't write what it has read\n");
		exit(1);
	}
	memcpy(differ_at(d, d->tables), d->pristine, DIFFER_FRAMES * 4096);
	for (unsigned i = 0; i < d->nreads; i++) {
		d->reads[i].qemu.data = dump[i];
		judge(d, &d->reads[i]);
	}
	d->nreads = 0;
}

/* What is neither memory nor nowhere may be a device of QEMU's, with effects of its own. */
static bool is_harmless(const struct differ *d, const struct differ_view *view)
{
	uint64_t from_base = view->phys - d->machine.ram_base;

	if (!view->done || view->phys >= DIFFER_NOWHERE)
		return true;
	return machine_in_ram(&d->machine, view->phys, 4) && !(from_base >= d->arch->hole && from_base < d->arch->hole_end);
}

static void do_request(struct differ *d)
{
	struct differ_request request = { .iova = d->arch->iova(d) & ~3ull };

	request.kind = d->arch->choose_debug && differ_chance(25) ? DIFFER_DEBUG : differ_chance(50) ? DIFFER_WRITE : DIFFER_READ;
	request.rid = request.kind == DIFFER_READ ? d->edu->rid : d->testdev->rid;
	d->arch->flush(d);
	if (request.kind == DIFFER_DEBUG) {
		d->arch->choose_debug(d, &request);
		ask_model(d, &request);
		d->arch->debug(d, true, &request);
	} else {
		ask_model(d, &request);
		if (!is_harmless(d, &request.model))
			return;
		if (request.kind == DIFFER_WRITE)
			write_qemu(d, &request);
		else
			qemu_edu_read(d->machine.qemu, d->edu, request.iova, d->nreads * 4, 4);
		d->arch->take_faults(d, true, &request.qemu.fault);
	}
	request.tables_differ = !same_tables(d, &request);
	memcpy(differ_at(d, d->tables), d->pristine, DIFFER_FRAMES * 4096);
	if (request.kind == DIFFER_READ)
		d->reads[d->nreads++] = request;
	else
		judge(d, &request);
}

static void round_of_requests(struct differ *d, uint64_t seed, unsigned count)
{
	machine_seed_thread(seed);
	memset(differ_at(d, d->tables), 0, DIFFER_FRAMES * 4096);
	d->arch->build(d);
	memcpy(d->pristine, differ_at(d, d->tables), DIFFER_FRAMES * 4096);
	for (unsigned i = 0; i < count && !d->machine.qemu->qtest.lost; i++)
		do_request(d);
	judge_reads(d);
}

static void open_both(struct differ *d)
{
	const struct machine_config machine = {
		.arch = machine_arch_by_name(d->board->arch), .board = d->board, .ram_bytes = RAM_BYTES, .seed = 1,
	};
	int err = machine_create(&d->machine, &machine);
	void *state;

	if (err == -ENOENT || err == -ENOPROTOOPT) {
		printf("skipped: %s\n", qemu_missing());
		exit(77);
	}
	if (err) {
		fprintf(stderr, "QEMU does not start: %s\n", strerror(-err));
		exit(1);
	}
	/* Aligned to what the largest tables need. */
	while (machine_reserve_frames(&d->machine, 1) % 0x10000 != 0xf000)
		;
	d->tables = machine_reserve_frames(&d->machine, DIFFER_FRAMES);
	d->data = machine_reserve_frames(&d->machine, DIFFER_DATA);
	d->dump = machine_reserve_frames(&d->machine, 1);
	d->commands = machine_reserve_frames(&d->machine, 1);
	d->records = machine_reserve_frames(&d->machine, 1);
	d->pristine = malloc(DIFFER_FRAMES * 4096);
	/* Every word is another one: what was read tells where. As an entry of a table none is valid. */
	for (uint64_t at = d->data; at < d->dump; at += 4)
		*(uint32_t *)machine_virt(&d->machine, at) = first_word(at);
	for (uint64_t at = d->machine.ram_base + (2u << 20); at < d->machine.ram_base + RAM_BYTES; at += 4)
		*(uint32_t *)machine_virt(&d->machine, at) = first_word(at);
	d->testdev = qemu_function(d->machine.qemu, QEMU_TESTDEV, 0);
	d->edu = qemu_function(d->machine.qemu, QEMU_EDU, 0);
	d->config = (struct iommu_model_config){
		.freedoms = IOMMU_FREE_BIT(IOMMU_FREE_KEEP), .quantum = 16, .lanes = 1, .entry_lines = 4, .pasid_lines = 4,
		.walk_lines = 4, .iotlb_lines = 4, .devtlb_lines = 4,
	};
	d->arch->configure(d, &d->config);
	d->port = (struct iommu_model_port){
		.ctx = d, .read64 = port_read64, .read128 = port_read128, .write32 = port_write32, .write64 = port_write64,
		.cas64 = port_cas64,
	};
	if (posix_memalign(&state, 64, iommu_model_size(d->arch->model, &d->config)) ||
	    iommu_model_init(&d->model, d->arch->model, &d->config, &d->port, state)) {
		fprintf(stderr, "the model can't be as QEMU's unit is\n");
		exit(1);
	}
	d->arch->start(d);
	d->nlog = 0;
}

int main(int argc, char **argv)
{
	uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 0) : 4000, round = 0;
	static struct differ d;

	d.seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]) && argc > 1; i++)
		if (strcmp(units[i].name, argv[1]) == 0) {
			d.arch = units[i].arch;
			d.board = units[i].board;
		}
	if (!d.arch) {
		fprintf(stderr, "usage: %s riscv|vtd-legacy|vtd-second|vtd-first|amdvi|smmuv3 [REQUESTS [SEED]]\n", argv[0]);
		return 2;
	}
	open_both(&d);
	while (d.requests < wanted && !d.machine.qemu->qtest.lost)
		round_of_requests(&d, d.seed * 1000003 + round++, REQUESTS_A_ROUND);
	printf("%s: %llu requests, seed %llu: %llu done, %llu faults recorded; %llu differ by a quirk of QEMU's, %u unexplained\n", argv[1],
	       (unsigned long long)d.requests, (unsigned long long)d.seed, (unsigned long long)d.done,
	       (unsigned long long)d.faults, (unsigned long long)d.explained, told);
	for (unsigned i = 0; quirks[i].name; i++)
		printf("    %8llu %s\n", (unsigned long long)quirks[i].count, quirks[i].name);
	if (d.machine.qemu->qtest.lost)
		printf("QEMU is gone\n");
	free(d.pristine);
	free(d.model.state);
	wanted = d.machine.qemu->qtest.lost || told;
	machine_destroy(&d.machine);
	return wanted ? 10 : 0;
}
