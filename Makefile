# The front door over CMake. `make help` lists what it can do.
BUILD ?= build
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=
PREFIX ?= /usr/local

.DEFAULT_GOAL := build
.PHONY: help setup build run test engine bench lint format fuzz tsan install clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install what is missing (Debian packages, tools/packages.txt)
	@tools/setup.sh

build: setup ## the program at build/hearth
	@cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log
	@cmake --build $(BUILD) -j $(JOBS)

run: build ## chat, offline, with the model that ships
	@$(BUILD)/hearth run hearth-nano

test: build ## all tests: unit, golden, fuzz corpus, command line; then again under ASan and UBSan
	@tools/test.sh $(BUILD)

lint: setup ## layers, sizes, format
	@tools/lint/layers.sh
	@tools/lint/size.sh
	@tools/lint/format.sh

format: ## let clang-format rewrite the sources
	@git ls-files '*.c' '*.h' '*.inc' | xargs clang-format -i

bench: build ## speed of the shipped model on this machine
	@$(BUILD)/hearth bench hearth-nano

fuzz: setup ## build the fuzz targets and run each for SECS seconds (default 60)
	@tools/fuzz.sh $(or $(SECS),60)

tsan: setup ## look for data races: the tests in which threads meet, under ThreadSanitizer
	@tools/tsan.sh

install: build ## into PREFIX (default /usr/local)
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## remove the build folders
	@rm -rf build build-*

# ---- the engine with a bare C compiler: no CMake, no library ----
ENGINE_BUILD := build-engine
ENGINE_OPT ?= -O2 -g
ENGINE_CFLAGS := -std=c17 $(ENGINE_OPT) -D_GNU_SOURCE -DHEARTH_ENGINE_ONLY -DHEARTH_VERSION='"0.1.0"' \
	-ffp-contract=off -fno-math-errno -fno-common -fvisibility=hidden -Isrc -Iinclude -pthread
NEEDS_LIBRARY := $(wildcard $(shell sed -n 's/^\(src[^:]*\):.*/\1/p' src/needs_library.txt))
ENGINE_SRCS := $(filter-out $(NEEDS_LIBRARY),$(wildcard src/base/*.c src/text/*.c src/format/*.c \
	src/kernel/*.c src/engine/*.c src/chat/*.c src/cli/*.c))
ENGINE_OBJS := $(ENGINE_SRCS:src/%.c=$(ENGINE_BUILD)/%.o)
ARCH := $(shell uname -m)
# the flags of tools/isa_flags.txt that apply to object $(1), by its file name's suffix
isa_flags = $(shell sed -n 's/^\([a-z0-9_]*\) $(ARCH): /\1 /p' tools/isa_flags.txt | \
	while read -r suffix flags; do case $(1) in (*/kernel/*_$$suffix.o|*/format/*_$$suffix.o) echo "$$flags";; esac; done)

engine: $(ENGINE_BUILD)/hearth ## run, bench, logits, synth, quantize: only a C compiler needed

$(ENGINE_BUILD)/hearth: $(ENGINE_OBJS)
	$(CC) -pthread -o $@ $^ -lm

$(ENGINE_BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ENGINE_CFLAGS) $(call isa_flags,$@) -MMD -MP -c -o $@ $<

-include $(ENGINE_OBJS:.o=.d)
