# bursar: everything one does with the project. A clean clone needs Python 3.11+, make and git.

DEMO  = solve mixed --budget "12k tokens" --baseline self_consistency
BENCH = benchmarks/run.py
TORCH = 2.13.0

PY      = .venv/bin/python
STAMP   = .venv/.ready
LOCKED  = --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
          --no-emit-find-links --no-header --no-annotate --quiet
COMPILE = .venv/bin/uv pip compile pyproject.toml $(LOCKED)
PYTEST  = $(PY) -m pytest -q -n 2

# Two test workers on two cores: a BLAS that starts threads of its own only slows both.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help setup demo test check audit format bench papers lock torch clients clean

help:
	@echo "make demo    solve the built-in tasks with the built-in model, and write a report"
	@echo "make test    all tests"
	@echo "make check   what must hold before a commit: lint, format, types, tests, coverage, generated files"
	@echo "make audit   known holes in what the gateway runs on"
	@echo "make format  let ruff put the code in order"
	@echo "make bench   the ratios that the README and the notes quote"
	@echo "make papers  write PAPERS.md again from the method headers"
	@echo "make lock    write requirements/*.txt again from pyproject.toml"
	@echo "make torch   add torch and transformers (training, the transformers backend, their tests)"
	@echo "make clients add the clients that the gateway is tried with (lm_eval, pydantic-ai, llm, openai-node)"
	@echo "make clean   remove .venv and all that is generated"

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(PY) || .ci/venv
	$(PY) -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	.venv/bin/bursar $(DEMO)

test: $(STAMP)
	$(PYTEST)

check: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PYTEST) --cov --cov-fail-under=90 --cov-report=term:skip-covered
	$(PY) -m bursar.methods --check
	.ci/audit

audit: $(STAMP)
	.ci/audit

format: $(STAMP)
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: $(STAMP)
	$(PY) $(BENCH)

papers: $(STAMP)
	$(PY) -m bursar.methods --write

lock: $(STAMP)
	$(COMPILE) -o requirements/core.txt
	$(COMPILE) --extra gateway -o requirements/gateway.txt
	$(COMPILE) --extra postgres -o requirements/postgres.txt
	$(COMPILE) --extra search -o requirements/search.txt
	$(COMPILE) --extra gateway --extra postgres --extra search --extra dev -o requirements/dev.txt
	.venv/bin/uv pip compile --group pyproject.toml:clients $(LOCKED) -o requirements/clients.txt
	$(COMPILE) --extra torch -P torch==$(TORCH) -c requirements/dev.txt -o requirements/torch.txt

# Versions as locked, but not hashes: torch comes in several builds of one version (CPU, CUDA, a
# vendor's own), and the one at hand is as good.
torch: $(STAMP)
	sed -e '/--hash/d' -e 's/ *\\$$//' requirements/torch.txt > .venv/torch-versions.txt
	$(PY) -m pip install --quiet -c .venv/torch-versions.txt torch 'transformers[serving]'

# Clients that others wrote, with the packages that they want: not ours. Node is not needed for all.
clients: $(STAMP)
	test -x .venv-clients/bin/python || $(PY) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --require-hashes -r requirements/clients.txt
	if command -v npm; then npm ci --silent --no-audit --no-fund --prefix tests/clients/node; fi

clean:
	rm -rf .venv .venv-clients tests/clients/node/node_modules build dist runs htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
