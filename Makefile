# Two commands matter: `make demo` and `make test`. Both make the virtual environment they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out
# Processes that run tests: 0 is make's own, `auto` is one for each processor.
WORKERS ?= 0

.PHONY: demo test test-long lint clean tools

demo: $(VENV)/installed
	$(BIN)/fp8cosim demo -o $(OUT)/demo

test: lint
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

test-long: $(VENV)/installed
	$(BIN)/fp8cosim compare --engine rtl --against golden --count 2000
	$(BIN)/fp8cosim compare --engine rtl --simulator verilator --against golden --count 2000
	$(BIN)/fp8cosim compare --engine rtl --against rtl --against-simulator verilator --count 2000
	$(BIN)/fp8cosim compare --engine rtl --against fast --count 10000 --large 64
	$(BIN)/fp8cosim compare --engine rtl --latency 4 --against golden --count 2000
	$(BIN)/fp8cosim compare --engine fast --against golden --count 10000
	$(BIN)/fp8cosim exhaust
	for latency in 1 2 3 5 6; do \
		$(BIN)/fp8cosim exhaust --latency $$latency adder mac element || exit 1; done
	$(BIN)/fp8cosim exhaust --latency 4
	$(BIN)/fp8cosim prove
	$(BIN)/fp8cosim generate --rows 4 --cols 4 --latency 4 -o $(OUT)/engine
	FP8COSIM_ENGINE_GEMMS=1000 $(BIN)/fp8cosim regress --rtl $(OUT)/engine --simulator both \
		-o $(OUT)/regress-engine
	rm -rf $(OUT)/mutate
	$(BIN)/fp8cosim mutate --count 320 -o $(OUT)/mutate
	FP8COSIM_PROOF_FAULTS=100 $(BIN)/pytest tests/cosim/proofs/test_engine_control.py
	FP8COSIM_KILLS=20 $(BIN)/pytest tests/cosim/training/test_kills.py
	FP8COSIM_NETLISTS=3000 $(BIN)/pytest tests/cosim/lockstep -k random_circuits

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# `installed` is a stamp: pip runs again when the dependencies change.
$(VENV)/installed: pyproject.toml | tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

tools:
	@command -v $(PYTHON) >/dev/null || \
		{ echo "Python is missing: install Debian's python3, or set PYTHON=..." >&2; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old: Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 3; }
	@command -v g++ >/dev/null || \
		{ echo "The C++ compiler is missing: apt-get install g++" >&2; exit 3; }
	@command -v perl >/dev/null || \
		{ echo "Perl, which Verilator is started by, is missing: apt-get install perl" >&2; exit 3; }

clean:
	rm -rf $(OUT) sim_build .pytest_cache .ruff_cache
