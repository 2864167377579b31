# SPDX-License-Identifier: GPL-2.0
# The front door.  Pipelines call runner/memsafe.py, whose exit status says more
# than make's.

TARGET  ?= x86_64-kasan
KERNEL  ?=
PYTHON  := /usr/bin/python3
MEMSAFE := $(PYTHON) runner/memsafe.py
tree    := $(if $(KERNEL),--kernel $(KERNEL))
tested  := x86_64-kasan arm-highmem-kasan i386-highmem
status   = s=$$?; echo "make $@: exit status $$s"; exit $$s

help:	## this text
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile
	@echo 'TARGET=name of configs/targets/ (now $(TARGET)), KERNEL=path of a kernel tree'

check: python	## the main job: build the kernel, boot it, run everything, judge
	@$(MEMSAFE) run --target $(TARGET) $(tree); $(status)

kunit: python	## the KUnit suites in User Mode Linux, by the kernel's own kunit.py
	@$(MEMSAFE) run --target um-kasan $(tree); $(status)

noop: python	## every test must notice when its system call does nothing
	@$(MEMSAFE) noop --target $(TARGET) $(tree); $(status)

gate: python	## TREE=/path/to/linux BASE=rev PATCH=file: does a patch make it worse?
	@$(MEMSAFE) gate --target $(TARGET) --tree $(TREE) --base $(BASE) --patch $(PATCH); $(status)

test: python	## the project's own tests, side by side on kernels that are built first
	@$(MEMSAFE) setup test
	@set -e; for target in $(tested); do $(MEMSAFE) build --target $$target >/dev/null; done
	@$(PYTHON) -m pytest -q -p no:cacheprovider -n $(shell nproc) --dist loadfile runner/tests; \
		$(status)

slurm: python	## submit on a Slurm of two nodes, which this starts on this host
	@$(MEMSAFE) setup test && $(MEMSAFE) setup slurm && $(MEMSAFE) build >/dev/null
	@$(PYTHON) -m pytest -q -p no:cacheprovider runner/tests/slurm/test_array.py; $(status)

mutants: python	## kernels and drivers with one bug each: the tests must notice
	@$(MEMSAFE) mutate --target $(TARGET) $(tree) configs/mutants; $(status)

bench: python	## measure boot, tests and overhead
	@$(MEMSAFE) bench --target $(TARGET); $(status)

clean:	## remove results
	@rm -rf results/[0-9]* results/latest

python:
	@test -x $(PYTHON) || apt-get install -y -q python3

.PHONY: help check kunit noop mutants gate test slurm bench clean python
