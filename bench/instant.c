/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* instant.c - a command queue whose hardware is done inside the doorbell write. */
#include "instant.h"

#include <string.h>

#include "amdvi.h"
#include "bench.h"
#include "riscv.h"
#include "smmuv3.h"
#include "vtd.h"

/* ---- VT-d: 6.5.2 ---- */

static void vtd_ring(uint64_t iqa, uint64_t *phys, unsigned *count)
{
	*phys = GET_ADDR(VTD_IQA, IQA, &iqa);
	*count = (unsigned)(HITLESS_PAGE_SIZE << GET(VTD_IQA, QS, &iqa)) / (GET(VTD_IQA, DW, &iqa) ? 32 : 16);
}

static bool vtd_wait(const uint64_t *command, uint64_t *phys, uint64_t *value, unsigned *bytes)
{
	if (GET(VTD_DESC, TYPE, command) != VTD_DESC_WAIT || !GET(VTD_DESC_WAIT, SW, command))
		return false;
	*phys = command[1];
	*value = GET(VTD_DESC_WAIT, STATUS_DATA, command);
	*bytes = 4;
	return true;
}

/* ---- AMD-Vi: 2.4 ---- */

static void amdvi_ring(uint64_t base, uint64_t *phys, unsigned *count)
{
	*phys = GET_ADDR(AMDVI_BUFFER, BASE, &base);
	*count = 1u << GET(AMDVI_BUFFER, LEN, &base);
}

static bool amdvi_wait(const uint64_t *command, uint64_t *phys, uint64_t *value, unsigned *bytes)
{
	if (GET(AMDVI_CMD, OPCODE, command) != AMDVI_CMD_WAIT || !GET(AMDVI_CMD_WAIT, S, command))
		return false;
	*phys = GET_ADDR(AMDVI_CMD_WAIT, STORE_ADDR, command);
	*value = GET(AMDVI_CMD_WAIT, STORE_DATA, command);
	*bytes = 8;
	return true;
}

/* ---- RISC-V: 3.1 ---- */

static void riscv_ring(uint64_t cqb, uint64_t *phys, unsigned *count)
{
	*phys = GET(RISCV_QUEUE_BASE, PPN, &cqb) << 12;
	*count = 2u << GET(RISCV_QUEUE_BASE, LOG2SZ, &cqb);
}

static bool riscv_wait(const uint64_t *command, uint64_t *phys, uint64_t *value, unsigned *bytes)
{
	if (GET(RISCV_IOFENCE, OPCODE, command) != RISCV_OP_IOFENCE || !GET(RISCV_IOFENCE, AV, command))
		return false;
	*phys = GET(RISCV_IOFENCE, ADDR, command) << 2;
	*value = GET(RISCV_IOFENCE, DATA, command);
	*bytes = 4;
	return true;
}

/* ---- SMMUv3: 4.1; head and tail have a wrap bit above the index ---- */

static void smmuv3_ring(uint64_t base, uint64_t *phys, unsigned *count)
{
	*phys = GET_ADDR(SMMU_QUEUE_BASE, ADDR, &base);
	*count = 1u << GET(SMMU_QUEUE_BASE, LOG2SIZE, &base);
}

/* What completes a CMD_SYNC is that the unit's index has passed it (4.8): the driver asks for no store. */
static bool smmuv3_wait(const uint64_t *command, uint64_t *phys, uint64_t *value, unsigned *bytes)
{
	(void)command;
	(void)phys;
	(void)value;
	(void)bytes;
	return false;
}

static const struct instant_arch archs[] = {
	{ "vtd", VTD_REG_IQA, VTD_REG_IQH, VTD_REG_IQT, 64, 5, 4, vtd_ring, vtd_wait, false },
	{ "vtd-legacy", VTD_REG_IQA, VTD_REG_IQH, VTD_REG_IQT, 64, 4, 2, vtd_ring, vtd_wait, false },
	{ "amdvi", AMDVI_REG_CMD_BASE, AMDVI_REG_CMD_HEAD, AMDVI_REG_CMD_TAIL, 64, 4, 2, amdvi_ring, amdvi_wait, false },
	{ "riscv", RISCV_REG_CQB, RISCV_REG_CQH, RISCV_REG_CQT, 32, 0, 2, riscv_ring, riscv_wait, false },
	{ "smmuv3", SMMU_REG_CMDQ_BASE, SMMU_REG_CMDQ_CONS, SMMU_REG_CMDQ_PROD, 32, 0, 2, smmuv3_ring, smmuv3_wait, true },
};

const struct instant_arch *instant_find(const char *name)
{
	for (unsigned i = 0; i < sizeof(archs) / sizeof(archs[0]); i++)
		if (strcmp(archs[i].name, name) == 0)
			return &archs[i];
	return NULL;
}

/* ---- The queue ---- */

void instant_consume(const struct instant *instant, const uint64_t *commands, unsigned count)
{
	for (unsigned i = 0; i < count; i++, commands += instant->arch->words) {
		uint64_t phys, value;
		unsigned bytes;

		if (!instant->arch->wait(commands, &phys, &value, &bytes))
			continue;
		if (bytes == 4)
			__atomic_store_n((uint32_t *)machine_virt(instant->machine, phys), (uint32_t)value, __ATOMIC_RELEASE);
		else
			__atomic_store_n((uint64_t *)machine_virt(instant->machine, phys), value, __ATOMIC_RELEASE);
	}
}

static struct instant *of(void *ctx)
{
	const struct machine *machine = ctx;

	return machine->observer;
}

static bool is_register(const struct instant *in, uint64_t addr, unsigned offset)
{
	return addr == in->machine->config.arch->registers + offset;
}

static void log_commands(struct instant *in, const uint64_t *commands, unsigned count)
{
	unsigned words = count * in->arch->words;

	bench_check(in->log_n + words <= INSTANT_LOG ? 0 : -1, "the log of commands");
	memcpy(in->log + in->log_n, commands, words * 8);
	in->log_n += words;
}

static void ring_doorbell(struct instant *in, uint64_t value)
{
	unsigned tail = (unsigned)(value >> in->arch->shift) & (in->turn - 1);

	while (in->at != tail) {
		unsigned index = in->at & (in->count - 1), count = (tail - in->at) & (in->turn - 1);
		const uint64_t *commands = in->ring + (size_t)index * in->arch->words;

		/* As many as lie side by side. */
		if (count > in->count - index)
			count = in->count - index;
		instant_consume(in, commands, count);
		if (in->logging)
			log_commands(in, commands, count);
		in->at = (in->at + count) & (in->turn - 1);
	}
	if (in->logging) {
		bench_check(in->doorbells < 64 ? 0 : -1, "the log of doorbells");
		in->log_end[in->doorbells++] = in->log_n;
	}
}

static void write32(void *ctx, uint64_t addr, uint32_t value)
{
	struct instant *in = of(ctx);

	if (is_register(in, addr, in->arch->tail))
		ring_doorbell(in, value);
	else
		in->port.mmio_write32(ctx, addr, value);
}

static void write64(void *ctx, uint64_t addr, uint64_t value)
{
	struct instant *in = of(ctx);

	if (is_register(in, addr, in->arch->tail))
		ring_doorbell(in, value);
	else
		in->port.mmio_write64(ctx, addr, value);
}

static uint32_t read32(void *ctx, uint64_t addr)
{
	const struct instant *in = of(ctx);

	return is_register(in, addr, in->arch->head) ? in->at << in->arch->shift : in->port.mmio_read32(ctx, addr);
}

static uint64_t read64(void *ctx, uint64_t addr)
{
	const struct instant *in = of(ctx);

	return is_register(in, addr, in->arch->head) ? (uint64_t)in->at << in->arch->shift : in->port.mmio_read64(ctx, addr);
}

void instant_take(struct instant *in, const struct instant_arch *arch, struct machine *machine)
{
	struct hitless_port *port = &machine->port;
	uint64_t registers = machine->config.arch->registers, base, phys, tail;

	memset(in, 0, sizeof(*in));
	in->arch = arch;
	in->machine = machine;
	in->port = *port;
	base = port->mmio_read64(port->ctx, registers + arch->base);
	arch->ring(base, &phys, &in->count);
	in->turn = in->count << arch->wraps;
	in->ring = machine_virt(machine, phys);
	tail = arch->tail_bits == 32 ? port->mmio_read32(port->ctx, registers + arch->tail)
				     : port->mmio_read64(port->ctx, registers + arch->tail);
	in->at = (unsigned)(tail >> arch->shift) % in->turn;
	machine->observer = in;
	port->mmio_write32 = write32;
	port->mmio_write64 = write64;
	port->mmio_read32 = read32;
	port->mmio_read64 = read64;
}

void instant_give_back(struct instant *in)
{
	struct hitless_port *port = &in->machine->port;
	uint64_t registers = in->machine->config.arch->registers;

	port->mmio_write32 = in->port.mmio_write32;
	port->mmio_write64 = in->port.mmio_write64;
	port->mmio_read32 = in->port.mmio_read32;
	port->mmio_read64 = in->port.mmio_read64;
	/* The model catches up with the ring: it does again what is still in it, which does no harm. */
	if (in->arch->tail_bits == 32)
		port->mmio_write32(port->ctx, registers + in->arch->tail, in->at << in->arch->shift);
	else
		port->mmio_write64(port->ctx, registers + in->arch->tail, (uint64_t)in->at << in->arch->shift);
	in->machine->observer = NULL;
}
