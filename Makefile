# Everything a newcomer types. Each target installs what it needs; the work is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help run test policies bench peers faults scenario fuzz lint

help: ## this list
	@printf 'Targets:\n'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1    \2/p' $(MAKEFILE_LIST)

run: ## the proxy with three demo nodes that join through the registry; Ctrl-C stops everything
	@scripts/run.sh

test: ## every policy rebuilt from source, then every test
	@scripts/test.sh

policies: ## rebuild policies/dist from source
	@scripts/policies.sh

bench: ## microbenchmarks: route, key, picks (Wasm beside native), membership
	@scripts/bench.sh

peers: ## side by side with nginx and HAProxy; ARGS='--rounds 5 --scenario small' is handed on
	@scripts/peers.sh $(ARGS)

faults: ## every fault injected for real, expected against seen; ARGS='--only 1-11 --quick' is handed on
	@scripts/faults.sh $(ARGS)

scenario: ## NAME=… played under load with failures, report in out/scenarios; without NAME the list; ARGS='--quick' is handed on
	@scripts/scenario.sh $(NAME) $(ARGS)

fuzz: ## the fuzz targets, a minute each; ARGS='--seconds 600 --only heads,yaml' is handed on
	@scripts/fuzz.sh $(ARGS)

lint: ## formatting, clippy, shellcheck; cargo-deny where it is installed
	@scripts/lint.sh
