# SPDX-License-Identifier: GPL-2.0
# The front door.  Pipelines call runner/memsafe.py, whose exit status says more
# than make's.

TARGET  ?= x86_64-kasan
KERNEL  ?=
PYTHON  := /usr/bin/python3
MEMSAFE := $(PYTHON) runner/memsafe.py

help:		## this text
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile
	@echo 'TARGET=$(TARGET) (configs/targets/), KERNEL=path of a kernel tree'

check: python	## build the kernel, boot it, run every suite, give a verdict
	@$(MEMSAFE) run --target $(TARGET) $(if $(KERNEL),--kernel $(KERNEL)); \
	status=$$?; echo "make check: exit status $$status"; exit $$status

clean:		## remove results
	@rm -rf results/[0-9]* results/latest

python:
	@test -x $(PYTHON) || apt-get install -y -q python3

.PHONY: help check clean python
