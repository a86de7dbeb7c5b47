# make demo     the whole work on a small real site that is made in .demo (first time: installs what is missing)
# make test     every test, in a network of its own           make lint   ruff and mypy
# make demo-serve   the demo site with page and metrics, until Ctrl-C
# make bench    the benchmarks                                make clean  removes .demo and caches
PYTHON = .venv/bin/python
PYTEST = ./hermetic .venv/bin/pytest -o tmp_path_retention_count=1
export PATH := $(CURDIR)/.venv/bin:$(PATH)
.PHONY: demo demo-serve test lint bench clean

demo:
	@./setup core
	@$(PYTHON) -m ops.cli.demo.tour

demo-serve:
	@./setup core
	@$(PYTHON) -m ops.cli.demo.serve

test:
	@./setup test
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/benchmarks $(ARGS)

lint:
	@./setup test
	.venv/bin/ruff check .
	.venv/bin/mypy

bench:
	@./setup test
	./hermetic $(PYTHON) -m tests.benchmarks $(ARGS)

clean:
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m ops.cli.demo.serve --stop; fi
	rm -rf .demo build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
