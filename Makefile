# What a fresh clone needs: Node 20 or newer, git, make, a compiler. See README.md.
.DEFAULT_GOAL := build
SHELL := /bin/bash
time ?= 60
seed ?= 1
only ?=
rate ?= 100000

.PHONY: build check test demo bench fuzz soak steady mutate deb fresh clean

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch node_modules

build: node_modules
	npx tsc -p tsconfig.build.json
	mkdir -p dist/rules/sets
	cp rules/sets/*.rules dist/rules/sets/
	chmod +x dist/gateway/cli/main.js
	node dist/gateway/cli/main.js manual > dist/holdfast.1

check: node_modules
	npx tsc -p tsconfig.json
	npx biome check .
	npx knip
	npx vitest run test/architecture.test.ts

test: build check
	@bash test/support/tools.sh
	npx vitest run

demo: build
	bash pcaps/demo.sh
	npx tsx test/demo/vm.ts

bench: build
	@bash test/support/tools.sh
	npx tsx test/bench/run.ts only=$(only) rounds=$(rounds) "protect=$(protect)"

fuzz: build
	npx tsx test/fuzz/run.ts time=$(time) seed=$(seed)

soak: time = 30m
soak: build
	npx tsx test/soak/run.ts time=$(time) seed=$(seed) only=$(only)

steady: time = 30m
steady: build
	npx tsx test/soak/steady.ts time=$(time) rate=$(rate)

mutate: build
	HOLDFAST_SEED=$(seed) npx tsx test/mutation/run.ts only=$(only)

deb: build
	bash gateway/deploy/deb.sh

fresh: # 77: skipped, it has said why
	bash test/deploy/fresh.sh || [ $$? = 77 ]

clean:
	rm -rf dist coverage reports .stryker-tmp
