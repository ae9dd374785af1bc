# The words of the README. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test test-container golden lint bench fixtures

# One profile for everything, so that torch-sys (minutes) is built once.
CARGO ?= cargo
# cargo runs build scripts in other folders than this one.
ifdef LIBTORCH
export LIBTORCH := $(abspath $(LIBTORCH))
endif
PHOTO ?= examples/photos/dog2.jpg

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## put libtorch into ./.libtorch (nothing to do when it is there, or when LIBTORCH is set)
	@scripts/libtorch.sh

build: setup ## build the program: target/release/maskrcnn
	$(CARGO) build --release --locked

demo: build ## segment a photo: make demo PHOTO=your.jpg
	@target/release/maskrcnn --output out "$(PHOTO)"

test: setup ## run every test
	$(CARGO) test --release --locked

test-container: setup ## build the container image and run tasks in it as an iExec worker does (needs root, installs Debian packages)
	@scripts/test-container.sh

golden: setup ## make the golden images again, then look at `git diff`
	REGENERATE=1 $(CARGO) test --release --locked --test golden

lint: setup ## formatting, clippy and documentation, as CI checks them
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps --document-private-items

bench: build ## memory and time beside torchvision on the same weights (makes a Python environment in ./.venv)
	@tests/reference/venv.sh
	@.venv/bin/python benches/compare.py

fixtures: ## make the reference fixtures again from the peers themselves (makes a Python environment in ./.venv)
	@tests/reference/make.sh
