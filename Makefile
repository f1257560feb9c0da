# make help lists what there is.
PY := .venv/bin/python
BENCH ?= pipeline isolation start load validate deidentify kernels link screen aggregate clear redact standardize
FUZZ ?= 80
SOAK ?= 60
FRONTS ?= 4
PYTEST := $(PY) -m pytest --no-header -q
# The tests of one file share a simulation and run in one process. Two processes more than there are processors, because
# tests of running workers wait most of their time; tests/conftest.py mixes them with those that compute.
TOGETHER := -n $(shell expr $$(nproc) + 2) --dist loadfile --no-loadscope-reorder
# Slow suites, as tests/conftest.py marks them: each has a target of its name and is not part of `make test`. Drills run
# one after another, since the time of each of their steps is printed; DRILLS="-n 2 --dist loadfile" is quicker.
SLOW := drills faults parts starts
QUICK := not image$(SLOW:%= and not %)
DRILLS ?=
# What comes before commands that only compute, such as `nice`, so that those that wait get a processor when they need it.
CALM ?=
# What happens where tests of a suite failed, given its name and pytest's status; `.ci/run` names tools.again.
FAILED ?= false
DAYS ?= +40d +400d monday saving new-year leap-day
TESTS ?= $(TOGETHER) -m "$(QUICK)"

.PHONY: help setup demo test slow $(SLOW) many-fronts second-python other-days check lint format types contracts generated collect deploy-check image image-lock image-twice image-boot image-smoke fuzz fuzz-guided soak sink-faults fleet-faults parts-faults models mutants coverage bench oscal docs picture tutorial engine pkcs11 wheels release install-walk container-walk fips lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## system packages (as root), .venv from the hash-pinned lock, and all else that the targets below need
	@tools/setup

demo: ## set up what a simulation needs, then run the product once: attest, release a key, run a sealed job, verify its receipt
	@tools/setup demo
	@began=$$(date +%s); .venv/bin/cji-simulator demo && echo "The demo took $$(($$(date +%s) - began)) s."

test: setup ## all tests but the slow suites, including those on real vectors if CJI_VECTORS names their folder
	@$(PYTEST) -o cache_dir=.pytest_cache/$@ $(TOGETHER) -m "$(QUICK)" || $(FAILED) $@ $$?

slow: $(SLOW) ## the slow suites, one after another

$(SLOW): setup
	@$(PYTEST) -o cache_dir=.pytest_cache/$@ $(if $(filter drills,$@),$(DRILLS),$(TOGETHER)) -m $@ || $(FAILED) $@ $$?

many-fronts: setup ## the slow suites `starts` and `faults` with FRONTS=4 fronts in every worker that is not told another number
	@CJI_FRONTS=$(FRONTS) $(PYTEST) $(TOGETHER) -m "starts or faults" tests/adversarial/worker tests/faults

second-python: setup ## unit tests and the demo on the other one of Python 3.11 and 3.13, minutes
	@$(CALM) tools/second-python

other-days: setup ## suite and demo on DAYS="+40d leap-day", as root; TESTS="tests/unit -n 2" selects; hours if all
	@$(PY) -m tests.support.other_days --days "$(DAYS)" -- $(TESTS)

check: setup lint types contracts generated deploy-check test ## all checks that a change must pass, but the slow suites

lint: setup ## format, lint, prose and links, without changing anything
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m ruff check --quiet .
	@$(PY) -m tools.prose
	@$(PY) -m tools.links

format: setup ## format and fix what can be fixed
	@$(PY) -m ruff format --quiet .
	@$(PY) -m ruff check --quiet --fix .

types: setup ## mypy, strict, tests and tools included
	@$(PY) -m mypy

contracts: setup ## import contracts between the rooms, and the other rules of the house
	@PYTHONPATH=engine .venv/bin/lint-imports --no-logo >/dev/null || PYTHONPATH=engine .venv/bin/lint-imports --no-logo
	@found=$$($(PY) -m pytest --no-header -q tests/unit/test_house.py) || { echo "$$found"; exit 1; }

generated: setup ## stubs, descriptor snapshot, the tables of docs/ and all versions are what their sources generate
	@$(PY) protos/generate.py --check
	@$(PY) -m tools.tables --check
	@$(PY) -m tools.version --check

collect: setup ## whether every test can be collected; leaves the tests compiled, as each process of `make test` else does
	@found=$$(env -u PYTHONDONTWRITEBYTECODE $(PYTEST) --collect-only) || { echo "$$found" | tail -n 40; exit 1; }

deploy-check: setup ## Bicep, units and policies, offline
	@$(PY) -m cji_deploy.check

image: setup ## the worker's image in build/image, as root; KEYS=folder, FLAVOUR=engine or debug, see docs/image.md
	@deploy/image/build --flavour $(or $(FLAVOUR),production) $(or $(KEYS),build/keys) build/image$(FLAVOUR:%=-%)

image-twice: setup ## the same image twice, the second time 40 days later, and whether every byte is the same; KEYS as above
	@$(PY) -m tests.support.machine.twice $(or $(KEYS),build/keys) build/image-twice

image-lock: setup ## write deploy/image/packages.lock: the packages that the archive has now; KEYS as above
	@IMAGE_LOCK=write deploy/image/build $(or $(KEYS),build/keys) build/image-lock

image-boot: setup ## build an image with keys of its own and boot it in QEMU, as root, a quarter of an hour
	@$(PY) -m tests.support.machine build/image-boot
	@IMAGE_LOCK=follow deploy/image/build build/image-boot/keys build/image-boot
	@CJI_IMAGE=build/image-boot $(PY) -m pytest --no-header -q tests/image

image-smoke: setup ## build an image and boot it once, if this machine can; FLAVOUR=engine for the engine's; REQUIRED=1 if it must
	@FLAVOUR=$(FLAVOUR) tools/image-smoke

fuzz: setup ## send a million damaged inputs to every reader of untrusted bytes, minutes
	@$(PY) -m tests.fuzz

fuzz-guided: setup ## inputs that grow along coverage, FUZZ=80 seconds for all readers together, RUNS=N inputs for each at most; SEED=1 repeats a run
	@$(CALM) $(PY) -m tests.fuzz.guided --seconds $(FUZZ) $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

soak: setup ## random faults at random steps of jobs for SOAK=60 minutes, as root; SEED=1 repeats a run
	@$(PY) -m tests.support.soak --minutes $(SOAK) $(if $(SEED),--seed $(SEED))

sink-faults: setup ## 900 faults of sinks, 100 deaths of their deliverer: no event lost or doubled, minutes; SEED=1 repeats a run
	@$(PY) -m tests.support.sink_faults $(if $(SEED),--seed $(SEED))

fleet-faults: setup ## 4 workers, 120 jobs, deaths at every named step and at random, as root, minutes; SEED=1 repeats a run
	@$(PY) -m tests.support.fleet_faults $(if $(SEED),--seed $(SEED))

parts-faults: setup engine ## deaths in every stage of a job in parts on Dask, as root, half an hour; SEED=1 repeats a run
	@$(PY) -m tests.support.parts_faults $(if $(SEED),--seed $(SEED))

models: setup ## models of the protocol in Spin, compared with tests/models/verdicts.tsv, minutes; MODELS="ends slots" selects
	@$(CALM) $(PY) -m tools.models $(MODELS)

mutants: setup ## remove each check of attestation, core, admission, policy, rules and declarations: a test must fail
	@$(PY) -m tools.mutants

coverage: setup ## branch coverage of attestation: at least 98 %, its verifiers 100 %
	@tools/coverage

bench: setup ## all benchmarks with their peers, half an hour; BENCH="link screen" selects some
	@tools/select bench | $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r /dev/stdin
	@$(PY) -m benchmarks $(BENCH)

pkcs11: setup ## test keys in PKCS#11 tokens with SoftHSM (apt-get install softhsm2)
	@tools/pkcs11

wheels: setup ## build and install the wheels: sizes, numbers of packages; the client resolved for three platforms; minutes
	@tools/installations

release: setup ## this commit's release in OUT: packages, image in IMAGE, SBOM, provenance, signatures by KEYS; PUBLISH="options of cji release publish" puts it into the log
	@tools/release "$(KEYS)" "$(OUT)" $(if $(IMAGE),--image "$(IMAGE)") $(if $(PACKAGES),--packages "$(PACKAGES)") $(PUBLISH)

oscal: setup ## the environment that validates OSCAL in tests, .oscal, from the hash-pinned lock; once, a minute
	@tools/environment .oscal oscal

docs: setup ## the documentation as a site in build/site, offline; a broken link is an error, and what a browser shows badly
	@tools/environment .docs docs
	@.docs/bin/python tools/site.py
	@$(PY) -m tests.support.site_look build/site
	@$(PY) -m tests.support.site_search build/site

picture: setup ## docs/result.png, from a job with examples/link in the simulator, and the reports of docs/gallery
	@$(PY) -m tools.picture
	@$(PY) -m tools.gallery

tutorial: setup ## execute docs/tutorial/first-job.md literally, with the time of each command, minutes
	@$(PY) -m tests.support.walk docs/tutorial/first-job.md

engine: setup ## the environment of cji-engine, .engine, from the hash-pinned lock

install-walk: setup ## deploy/README.md's install commands in a clean Debian 13, with their time; as root, needs mmdebstrap, minutes
	@$(PY) -m tools.walk install

container-walk: setup ## the steps of the simulator's Containerfile in a clean Debian 13, then its demo; as root, needs mmdebstrap, minutes
	@$(PY) -m tools.walk container

fips: ## the validated OpenSSL provider in FIPS_PREFIX (/opt/cji-fips), minutes; SOURCE=openssl-3.1.2.tar.gz without a network
	@deploy/fips/build $(or $(FIPS_PREFIX),/opt/cji-fips) $(SOURCE)

lock: setup ## write requirements.lock (needs uv)
	@$(PY) -m tools.lock

clean: ## remove what was built here
	@rm -rf .venv .venv-second .azurite .always-encrypted .kusto .axe .oscal .docs .pkcs11 node_modules .engine .demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
