# The words of the README. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup build demo test test-pure test-container test-dist image install uninstall dist golden lint deny \
  bench bench-load bench-memory fixtures compare

# One profile for everything, so that torch-sys (minutes) is built once.
CARGO ?= cargo
# cargo runs build scripts in other folders than this one.
ifdef LIBTORCH
export LIBTORCH := $(abspath $(LIBTORCH))
endif
PHOTO ?= examples/photos/dog2.jpg
PEERS ?= torchvision detectron2 matterport
PREFIX ?= /usr/local
IMAGE ?= maskrcnn-dapp

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## put libtorch into ./.libtorch (nothing to do when it is there, or when LIBTORCH is set)
	@scripts/libtorch.sh

build: setup ## build the program: target/release/maskrcnn
	$(CARGO) build --release --locked

demo: build ## segment a photo: make demo PHOTO=your.jpg
	@target/release/maskrcnn --output out "$(PHOTO)"

test: setup ## run every test
	$(CARGO) test --release --locked --workspace

# Where nothing is found: neither a LIBTORCH of the user nor the .libtorch that .cargo/config.toml names in its place.
test-pure: ## run the tests of the crates that need no libtorch, with none to be found
	@scripts/without-libtorch.sh
	LIBTORCH=/nonexistent $(CARGO) test --release --locked -p detections -p intake

install: setup ## install the program, its libraries, man page and completions: make install PREFIX=$$HOME/.local
	@scripts/install.sh "$(PREFIX)"

uninstall: ## remove what `make install` put there: make uninstall PREFIX=$$HOME/.local
	@scripts/install.sh --remove "$(PREFIX)"

dist: setup ## make target/dist/maskrcnn-VERSION-x86_64-linux.tar.gz, with libtorch beside the program
	@scripts/dist.sh

test-dist: setup ## unpack the tarball elsewhere and segment a photo with it; install and remove the program
	@scripts/test-dist.sh

image: ## build the container image: make image IMAGE=maskrcnn-dapp BUILD_ARGS="--build-arg WEIGHTS=weights/mine.pth"
	docker build $(BUILD_ARGS) --tag "$(IMAGE)" .

test-container: setup ## build the container image and run tasks in it as an iExec worker does (needs root, installs Debian packages)
	@scripts/test-container.sh

golden: setup ## make the golden images again, then look at `git diff`
	REGENERATE=1 $(CARGO) test --release --locked --test program golden

lint: setup ## formatting, clippy and documentation, as CI checks them
	$(CARGO) fmt --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release --locked --test container -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items
	@scripts/invariants.sh
	@scripts/architecture.py
	@scripts/without-libtorch.sh
	@scripts/recipes.sh

deny: ## licences, sources, duplicates and advisories of the crates, by cargo-deny (brings it along: minutes)
	@scripts/deny.sh

bench: build ## memory and time beside torchvision on the same weights (makes a Python environment in ./.venv)
	@tests/reference/venv.sh
	@.venv/bin/python benches/compare.py

bench-load: build ## the program alone, beside another one, and under quotas of processor time (needs root for those)
	@benches/load.sh

bench-memory: build ## memory over 1,000 photos of 1,000 sizes
	@tests/reference/venv.sh
	@.venv/bin/python benches/varied_sizes.py

fixtures: ## make the reference fixtures again from the peers themselves (makes a Python environment in ./.venv)
	@tests/reference/make.sh

compare: build ## the program beside its peers on full-size networks, an hour or more: make compare PEERS="matterport"
	@tests/reference/compare.py $(PEERS)
