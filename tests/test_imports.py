"""The layout: imports point one way, `analyze` knows neither torch nor ONNX, files are documented."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

# A part may import itself and what stands before it in this list; nothing imports `cli`.
ORDER = [
    "errors", "grid", "card", "atomic", "allocator", "graph", "patches",
    "images", "capture", "analyze", "runtime", "refine", "rewrite", "verify",
    "fullyconv",  # the public names
    "scan", "detect", "train", "evaluate", "report", "export", "demo", "cli", "__main__",
]  # fmt: skip

FORBIDDEN_IN_ANALYZE = {"torch", "onnx", "onnxruntime", "onnx_ir"}
LONGEST_FILE = 400
FILES = sorted((SOURCE / "fullyconv").rglob("*.py"))


def name_module(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_module(path): path for path in FILES}


def name_part(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


@cache
def find_imports(path: Path, *, everywhere: bool = True) -> frozenset[str]:
    """Every module that a file imports; with `everywhere` False only what runs when the file is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree) if everywhere else walk_top(tree.body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            assert node.module is not None
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {node.module}
    return frozenset(found)


def walk_top(body: list[ast.stmt]):
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from walk_top(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            for field in ("body", "orelse", "finalbody"):
                yield from walk_top(getattr(node, field, []))


def find_reached(module: str) -> set[str]:
    """Every module, the project's own and foreign, that importing `module` imports."""
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        packages = [".".join(name.split(".")[:count]) for count in range(1, name.count(".") + 1)]
        if name not in reached:
            reached.add(name)
            waiting += packages
            if name in MODULES:
                waiting += find_imports(MODULES[name], everywhere=False)
    return reached


def find_wrong_imports(module: str, imports: frozenset[str]) -> list[str]:
    mine = ORDER.index(name_part(module))
    own = [name for name in imports if name.split(".")[0] == "fullyconv"]
    return [name for name in own if ORDER.index(name_part(name)) > mine]


def test_every_part_has_its_place_in_the_order():
    assert {name_part(module) for module in MODULES} <= set(ORDER)


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"fullyconv"}))
def test_imports_point_one_way(module):
    assert find_wrong_imports(module, find_imports(MODULES[module])) == []


def test_a_wrong_import_is_found():
    assert find_wrong_imports("fullyconv.grid", frozenset({"fullyconv.cli", "math"})) == ["fullyconv.cli"]
    assert find_wrong_imports("fullyconv.scan.tiles", frozenset({"fullyconv.detect.find"})) != []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name_part(name) == "analyze"))
def test_analyze_reaches_neither_torch_nor_onnx(module):
    roots = {name.split(".")[0] for name in find_reached(module)}
    assert roots & FORBIDDEN_IN_ANALYZE == set()
    assert roots <= {"fullyconv", "numpy"} | set(sys.stdlib_module_names)
    inside = {name.split(".")[0] for name in find_imports(MODULES[module])}
    assert inside & FORBIDDEN_IN_ANALYZE == set(), "not even inside a function"


def test_reaching_torch_is_found():
    assert "torch" in find_reached("fullyconv.capture.pt2")
    assert "cyclopts" in find_reached("fullyconv.cli.convert")


@pytest.mark.parametrize("path", FILES, ids=name_module)
def test_every_file_is_documented_and_short(path):
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring and len(docstring.split()) > 2, f"{path}: a file begins with what it is about"
    assert len(text.splitlines()) <= LONGEST_FILE
