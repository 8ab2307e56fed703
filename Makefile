# Each target makes .venv and installs what it needs by itself, and is quick when that is done.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt

.PHONY: demo test guides check format clean

demo: .venv/demo.done
	$(BIN)/fullyconv demo

test: .venv/dev.done
	$(BIN)/python -m pytest -n auto

# Those of Keras and TensorFlow too, in an environment of their own, .venv-guides.
guides: .venv-guides/done
	.venv-guides/bin/python -m pytest docs/guides/tests tests/test_guides.py

.venv-guides/done: pyproject.toml requirements/constraints.txt requirements/coverage.txt
	test -x .venv-guides/bin/python || $(PYTHON) -m venv .venv-guides
	.venv-guides/bin/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt -e '.[dev]'
	.venv-guides/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/coverage.txt
	touch $@

check: .venv/dev.done
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py

format: .venv/dev.done
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.venv/%.done: pyproject.toml requirements/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e '.[$*]'
	touch $@

clean:
	rm -rf .venv .venv-guides
