# SPDX-License-Identifier: Apache-2.0
# A door, not a build system: tools/setup installs what is missing, Meson builds (tools/build).
PREFIX ?= /usr/local
SEEDS ?= 200000
FUZZ_SECONDS ?= 60
SETUP ?= tools/setup
PYTHON = /usr/bin/python3
export PREFIX

URL ?= http://127.0.0.1:9900
.PHONY: all run test lint asan tsan fuzz bench drill sim picture shot install clean
all:
	@$(SETUP) build && tools/build build
run: all
	@exec build/weir demo
test:
	@$(SETUP) test && exec $(PYTHON) tools/test.py
lint:
	@$(SETUP) lint && tools/build build-clang && exec tools/lint
asan:
	@$(SETUP) test && exec $(PYTHON) tools/test.py --build asan
tsan:
	@$(SETUP) test && exec $(PYTHON) tools/test.py --build tsan
fuzz:
	@$(SETUP) test && tools/build build-fuzz && exec $(PYTHON) tools/fuzz.py --seconds $(FUZZ_SECONDS)
bench:
	@$(SETUP) bench && tools/build build all bench-tools && exec $(PYTHON) bench/run.py
drill:
	@$(SETUP) test && exec $(PYTHON) tools/test.py --only drill
sim:
	@$(SETUP) test && exec $(PYTHON) tools/test.py --only sim --seeds $(SEEDS)
# The README's picture of the dashboard: some minutes of traffic with a fault in it.
picture: all
	@$(SETUP) test && exec $(PYTHON) tests/page/picture.py build/weir docs/dashboard.png
# A picture of the dashboard of a weir that runs at URL.
shot:
	@$(SETUP) test && exec $(PYTHON) tests/page/shot.py $(URL) dashboard.png
install: all
	@meson install -C build --no-rebuild $(if $(DESTDIR),--destdir "$(DESTDIR)")
clean:
	rm -rf build build-test build-asan build-tsan build-fuzz build-clang build-mutants build-coverage
