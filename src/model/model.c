/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* model.c - the public functions, which only find the architecture's own; and text. */
#include "cache.h"
#include "shortcut.h"

const char *iommu_freedom_name(enum iommu_freedom freedom)
{
	static const char *const names[IOMMU_FREEDOMS] = {
		[IOMMU_FREE_TEAR] = "tear",
		[IOMMU_FREE_MISS] = "miss",
		[IOMMU_FREE_KEEP] = "keep",
		[IOMMU_FREE_PREFETCH] = "prefetch",
		[IOMMU_FREE_LATE] = "late",
		[IOMMU_FREE_REORDER] = "reorder",
		[IOMMU_FREE_LATE_FILL] = "late-fill",
		[IOMMU_FREE_MULTI] = "multi",
	};

	return (unsigned)freedom < IOMMU_FREEDOMS ? names[freedom] : "unknown";
}

static bool power_of_two(unsigned lines)
{
	/* The upper bound keeps sizes far from overflow: 64 lanes * 2^20 lines * 32 bytes = 2 GiB. */
	return lines >= 1 && lines <= 1u << 20 && (lines & (lines - 1)) == 0;
}

/* As many shortcuts as the IOTLB has lines: whoever wants that many translations near wants them nearer still. */
static uint64_t shortcuts(const struct iommu_model_config *config)
{
	return config->maysets || !(config->freedoms & IOMMU_FREE_BIT(IOMMU_FREE_KEEP)) ? 0 : config->iotlb_lines;
}

size_t iommu_model_size(const struct iommu_model_ops *ops, const struct iommu_model_config *config)
{
	size_t size;

	if (config->quantum != 8 && config->quantum != 16)
		return 0;
	if (config->lanes < 1 || config->lanes > IOMMU_MODEL_MAX_LANES)
		return 0;
	if (!power_of_two(config->entry_lines) || !power_of_two(config->pasid_lines) || !power_of_two(config->walk_lines) ||
	    !power_of_two(config->iotlb_lines) || !power_of_two(config->devtlb_lines))
		return 0;
	size = ops->size(config);
	return size ? size + config->lanes * model_shortcut_words(shortcuts(config)) * sizeof(uint64_t) : 0;
}

int iommu_model_init(struct iommu_model *model, const struct iommu_model_ops *ops, const struct iommu_model_config *config,
		     const struct iommu_model_port *port, void *state)
{
	size_t size = iommu_model_size(ops, config);
	struct model_common *common;

	if (!size || ((uintptr_t)state & 63))
		return -EINVAL;
	model->ops = ops;
	model->port = port;
	model->state = state;
	memset(state, 0, size);
	ops->init(model, config);
	common = state;
	common->shortcuts = shortcuts(config);
	common->barrier_all = port->barrier_all && !config->maysets;
	common->shortcut_first = ops->size(config) / sizeof(uint64_t);
	return 0;
}

uint64_t iommu_model_read(struct iommu_model *model, uint64_t offset, unsigned size)
{
	if ((size != 4 && size != 8) || offset % size)
		return 0;
	return model->ops->read(model, offset, size);
}

void iommu_model_write(struct iommu_model *model, uint64_t offset, unsigned size, uint64_t value)
{
	if ((size != 4 && size != 8) || offset % size)
		return;
	model->ops->write(model, offset, size, value);
	model_stamp(model->state);
}

bool iommu_model_tick(struct iommu_model *model)
{
	return model->ops->tick(model);
}

void iommu_model_begin(struct iommu_model *model, struct iommu_request *request)
{
	model->ops->begin(model, request);
}

void iommu_model_step(struct iommu_model *model, struct iommu_request *request)
{
	if (request->state == IOMMU_REQUEST_RUNNING)
		model->ops->step(model, request);
}

void iommu_model_end(struct iommu_model *model, struct iommu_request *request)
{
	if (request->pc == MODEL_PC_SHORTCUT) {
		model_lane_leave(model_lane(model->state, request->lane), (unsigned)request->work[0]);
		request->pc = 0;
		return;
	}
	model->ops->end(model, request);
}

int iommu_model_translate(struct iommu_model *model, struct iommu_request *request)
{
	const struct model_common *common = model->state;
	struct model_shortcut_note note;

	if (!common->shortcuts || model->port->choose || request->lane >= common->lanes) {
		model->ops->translate(model, request);
		return request->state;
	}
	if (request->kind == IOMMU_REQUEST_UNTRANSLATED && model_shortcut_take(common, request))
		return IOMMU_REQUEST_DONE;
	model_shortcut_note(common, &note);
	model->ops->translate(model, request);
	if (request->state == IOMMU_REQUEST_DONE)
		model_shortcut_fill(common, request, &note);
	return request->state;
}

bool iommu_model_devtlb_lookup(struct iommu_model *model, const struct iommu_request *request, uint64_t *phys,
			       uint32_t *rights)
{
	return model->ops->devtlb_lookup(model, request, phys, rights);
}

bool iommu_model_drained(const struct iommu_model *model, const struct iommu_request *request)
{
	return model->ops->drained(model, request);
}

void iommu_model_settle(struct iommu_model *model)
{
	model->ops->settle(model);
}

bool iommu_model_filled(struct iommu_model *model)
{
	struct model_common *common = model->state;
	bool filled = common->filled != 0;

	common->filled = 0;
	return filled;
}

bool iommu_model_covers(const struct iommu_model *model, const void *state)
{
	return model_caches_cover(model->state, state);
}

bool iommu_model_overflow(const struct iommu_model *model)
{
	return model->ops->overflow(model);
}

const char *iommu_model_reason(const struct iommu_model *model, uint32_t reason)
{
	return model->ops->reason(model, reason);
}

void iommu_model_dump(const struct iommu_model *model, void (*print)(void *ctx, const char *line), void *ctx)
{
	model->ops->dump(model, print, ctx);
}

void model_text(struct model_text *text, const char *string)
{
	while (*string && text->length < sizeof(text->line) - 1)
		text->line[text->length++] = *string++;
	text->line[text->length] = 0;
}

void model_text_hex(struct model_text *text, const char *name, uint64_t value)
{
	char digits[19] = "0x";
	unsigned n = 2;
	unsigned shift = 60;

	while (shift && !(value >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		digits[n++] = "0123456789abcdef"[value >> shift & 15];
		if (!shift)
			break;
	}
	digits[n] = 0;
	model_text(text, name);
	model_text(text, digits);
}
