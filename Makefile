# `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash

# Real servers that the tests talk to live in a folder of their own, outside the checkout.
PEERS ?= $(HOME)/.cache/restway/peers
CARGO ?= cargo

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## Build, and show the whole way on the bundled API until Ctrl-C
	$(CARGO) build --bin restway
	$(CARGO) run --quiet --bin restway -- demo

test: peers ## Install what the tests need, and run them all
	RESTWAY_TEST_PEERS=$(PEERS) $(CARGO) test --workspace

check: ## Formatting and lints, as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

docs: ## Write the reference pages anew, from the code
	UPDATE_EXPECT=1 $(CARGO) test --package restway --test it reference

bench: ## Time calls, syncs and published tables beside others, optimised: an hour, 2 GB kept
	bench/call.sh
	bench/run.sh
	bench/publish.sh

TARGET ?= json
fuzz: ## Fuzz TARGET (json, ndjson, csv, xml, zip or definition) for a minute; needs cargo-fuzz
	cp Cargo.lock fuzz/Cargo.lock
	cd fuzz && $(CARGO) +nightly fuzz run --fuzz-dir . $(TARGET) -- -max_total_time=60

release: ## The optimised binary, with thin LTO: takes long
	$(CARGO) build --profile dist --bin restway

peers: ## Install the real servers that the tests talk to
	@scripts/peers.sh $(PEERS)

deny: ## Licences, bans and sources of the dependencies; needs cargo-deny
	$(CARGO) deny check licenses bans sources

.PHONY: help demo test check docs bench fuzz release peers deny
