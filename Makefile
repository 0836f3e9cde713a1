# SPDX-License-Identifier: BSD-2-Clause-Patent
# A thin front for meson: it installs what is missing and picks the build directories.
BUILD := build

.PHONY: all run guest check check-gcc check-clang check-asan check-tsan fuzz install clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) hitless

# Only a first build looks for missing packages.
$(BUILD)/build.ninja:
	@scripts/install-deps build
	@meson setup $(BUILD)

run: all
	@$(BUILD)/hitless run $(ARGS)

# Kernels with the library in them, for hitless run --machine guest: they take three compilers and a QEMU.
guest: all
	@scripts/install-deps check
	@ninja -C $(BUILD) baremetal
	@scripts/get-qemu >/dev/null
	@$(BUILD)/hitless run --machine guest $(ARGS)

check:
	@scripts/install-deps check
	@scripts/check

check-gcc check-clang check-asan check-tsan:
	@scripts/install-deps check
	@scripts/check $(@:check-%=%)

# libFuzzer needs clang and instruments the libraries too.
fuzz:
	@scripts/install-deps fuzz
	@test -e build-fuzz/build.ninja || CC=clang meson setup build-fuzz -Dtests=enabled \
		-Dlibfuzzer=true -Db_sanitize=address,undefined -Db_lundef=false \
		-Dc_args='-fsanitize=fuzzer-no-link -fno-sanitize-recover=all'
	@ninja -C build-fuzz
	@echo "run one: build-fuzz/fuzz/NAME -max_total_time=600 NEW_CORPUS fuzz/corpus/NAME"

install: $(BUILD)/build.ninja
	@$(if $(PREFIX),meson configure $(BUILD) -Dprefix=$(PREFIX))
	@ninja -C $(BUILD)
	@meson install -C $(BUILD) --no-rebuild

clean:
	@rm -rf build build-clang build-asan build-tsan build-fuzz

help:
	@echo "make               build $(BUILD)/hitless"
	@echo "make run           build and run the main job (ARGS=... are given to it)"
	@echo "make guest         the same on bare metal, in QEMU: a CPU against a device"
	@echo "make check         build and run all tests: gcc, clang, ASan+UBSan, TSan"
	@echo "make check-BUILD   one of them: gcc, clang, asan or tsan"
	@echo "make fuzz          build the fuzz targets with libFuzzer"
	@echo "make install       install (PREFIX=/usr/local, DESTDIR=)"
	@echo "make clean         remove every build directory"
