# Every entry point. `make help` lists them; each does by itself what set-up it needs.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Absolute, as some commands run in harness/.
BUILD := $(abspath $(or $(GROUNDUP_BUILD),build))
PYTHON := $(BUILD)/venv/bin/python
export PYTHONPYCACHEPREFIX := $(BUILD)/pycache

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS='	' read -r target text; do \
	    printf '  make %-8s %s\n' "$$target" "$$text"; done

$(BUILD)/packages $(BUILD)/packages-lint $(BUILD)/packages-test $(BUILD)/packages-fuzz: $(BUILD)/%: harness/% harness/install-packages
	@harness/install-packages $<
	@mkdir -p $(@D) && touch $@

PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r

$(BUILD)/venv/complete: harness/requirements.lock | $(BUILD)/packages
	@echo 'making the Python environment'
	@python3 -m venv --clear $(BUILD)/venv
	@$(PIP_INSTALL) $<
	@touch $@

$(BUILD)/venv/complete-dev: harness/requirements-dev.lock $(BUILD)/venv/complete
	@echo 'installing what tests and lint need'
	@$(PIP_INSTALL) $<
	@touch $@

.PHONY: setup
setup: $(BUILD)/venv/complete ## Install what is missing, build the guest image, boot and save the pair
	@./groundup setup

.PHONY: grade
grade: setup ## Grade the course's own solutions and print the scoreboard
	@./groundup scoreboard

.PHONY: check
check: setup ## Check your work on a chapter: make check CH=01
	@./groundup check $(if $(CH),$(CH),$(error say which chapter: make check CH=01))

.PHONY: test
test: setup $(BUILD)/packages-test $(BUILD)/packages-fuzz $(BUILD)/venv/complete-dev ## Run all tests: the harness's own, then the proof of every chapter
	@$(PYTHON) -m pytest -c harness/pyproject.toml --rootdir harness harness/tests $(PYTEST_ARGS)
	@./groundup verify

.PHONY: bench
bench: setup ## Measure what a learner waits for
	@PYTHONPATH=harness $(PYTHON) -m groundup.bench

TIME := 60

.PHONY: fuzz
fuzz: $(BUILD)/packages-fuzz $(BUILD)/venv/complete ## Throw mutated input at the solutions' parsers: make fuzz TIME=60 ONLY=03
	@PYTHONPATH=harness $(PYTHON) -m groundup.fuzz --seconds $(TIME) $(ONLY)

C_SOURCES = $(wildcard chapters/*/*.c chapters/*/exercise/*.c chapters/*/fuzz/*.c vm/*.c)
C_HEADERS = $(wildcard chapters/*.h chapters/*/*.h)
# What chapters take from elsewhere in the course is beside their own files only where they are compiled. A header of a
# chapter's own comes before one of the same name: chapter 05's answer.h, where 09 takes it, means 09's connection.h.
C_FLAGS := -std=gnu17 -Wall -Wextra -Wpedantic -Werror -iquote chapters -iquote chapters/given \
    $(foreach chapter,03-http-parse 05-http-files 08-vsock-echo 09-vsock-http 10-chao,-iquote chapters/$(chapter))
SHELL_SOURCES := groundup harness/install-packages vm/build-image .ci/run

.PHONY: lint
lint: $(BUILD)/packages-lint $(BUILD)/packages-fuzz $(BUILD)/venv/complete-dev ## Check the form of every source file
	@cd harness && $(PYTHON) -m ruff check --quiet --config pyproject.toml . ../chapters
	@cd harness && $(PYTHON) -m ruff format --quiet --check --config pyproject.toml . ../chapters
	@cd harness && $(PYTHON) -m mypy && MYPYPATH=. $(PYTHON) -m mypy ../chapters/*/tests/*.py
	@shellcheck $(SHELL_SOURCES)
	@shellcheck --shell=sh vm/in-root vm/init
	@clang-format --dry-run --Werror $(C_SOURCES) $(C_HEADERS)
	@for compiler in gcc clang; do for source in $(C_SOURCES); do \
	    $$compiler -iquote $${source%/*} $(C_FLAGS) -O2 -fsyntax-only $$source || exit 1; done; done
	@for directory in $(sort $(dir $(C_SOURCES))); do \
	    clang-tidy --quiet $$directory*.c -- -iquote $$directory $(C_FLAGS) 2> $(BUILD)/clang-tidy.log || \
	    { cat $(BUILD)/clang-tidy.log; exit 1; }; done
	@echo 'lint: no findings'

.PHONY: lock
lock: $(BUILD)/venv/complete ## Renew the lock files from requirements.in
	@python3 -m venv $(BUILD)/lock && $(BUILD)/lock/bin/pip install --quiet uv==0.13.8
	@for part in harness/requirements harness/requirements-dev vm/requirements; do \
	    $(BUILD)/lock/bin/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-emit-index-url \
	    --python-version 3.11 $$part.in -o $$part.lock || exit 1; done

.PHONY: clean
clean: ## Remove everything that was built
	@rm -rf $(BUILD)
