# The front door. No logic here: what has to be decided before there is a compiler is decided in
# image/prepare.sh, everything else in the programs.
.PHONY: help demo test check bench proof audit tools web

## What can be made.
help:
	@awk '/^## /{text=substr($$0,4)} /^[a-z]+:/{if(text)printf "  make %-7s %s\n",substr($$1,1,length($$1)-1),text; text=""}' Makefile

## Simulated building, gateway, portfolio and dashboard, on this machine: the real binaries.
demo: tools web
	cargo build --release -p meter-sim -p gateway -p portfolio -p site-tests
	target/release/demo $(ARGS)

# The same random cases for the same tree, so that what fails is the change; `PROPTEST_RNG_SEED= make test`
# and `make proof` draw new ones.
test: export PROPTEST_RNG_SEED ?= 20261121
# Most tests wait for wires and silence, so many of them share two cores well.
test: export RUST_TEST_THREADS ?= 4

## Everything that has to pass: format, lints, Rust, front end, browser. One build profile.
test: tools web check
	cd web-ui/app && npm run test
	cargo build --workspace --bins --tests
	WEB_UI_REQUIRED=1 cargo test --workspace --no-fail-fast
	tests/browser/run.sh

## Format, lints and types, no tests.
check: tools web
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cd web-ui/app && npm run check

## Speed, memory, wire and disk cost, as ratios.
bench: tools web tests/browser/node_modules/.package-lock.json
	cargo build --release -p meter-sim -p gateway -p portfolio -p site-tests
	cargo bench --workspace --bench '*'
	target/release/measure

## The big counts, into tests/proof.md. Takes hours.
proof: tools web
	image/prepare.sh proof
	cargo build --release -p meter-sim -p gateway -p portfolio -p site-tests
	target/release/proof $(ARGS)

## Licences, bans, sources of every dependency; then advisories, which need the network.
audit: tools
	image/prepare.sh audit
	cargo deny check licenses bans sources
	cargo deny check advisories

## What a build needs: says what is missing, installs it or tells how.
tools:
	@image/prepare.sh

## The front ends, into web-ui/dist. Needs the network once, for npm ci.
web: web-ui/app/node_modules/.package-lock.json
	cd web-ui/app && npm run build

web-ui/app/node_modules/.package-lock.json: web-ui/app/package-lock.json | tools
	cd web-ui/app && npm ci

tests/browser/node_modules/.package-lock.json: tests/browser/package-lock.json | tools
	cd tests/browser && npm ci --no-audit --no-fund
