"""The public names, and that they cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

import fullyconv
import fullyconv.errors
from fullyconv.cli import COMMANDS

EXPECTED = {
    "CaptureError", "ConversionReport", "DataError", "DenseModel", "FollowError", "FullyconvError", "Grid",
    "ImageError", "MissingExtraError", "ModelCard", "ModelError", "OptionError", "OutputError", "Preprocessing",
    "RegionError", "VerifyReport", "__version__", "convert", "load", "prepare", "verify",
}  # fmt: skip


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_public_names_are_the_promised_ones():
    assert set(fullyconv.__all__) == EXPECTED
    assert list(fullyconv.__all__) == sorted(fullyconv.__all__)
    assert set(fullyconv.__all__) <= set(dir(fullyconv))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_public_name_can_be_had(name):
    assert getattr(fullyconv, name) is not None


def test_every_error_is_public():
    tree = {
        name
        for name, value in vars(fullyconv.errors).items()
        if isinstance(value, type) and issubclass(value, fullyconv.FullyconvError)
    }
    assert tree <= set(fullyconv.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        fullyconv.nonsense  # noqa: B018


@pytest.mark.parametrize("statement", ["import fullyconv", "import fullyconv.cli", "from fullyconv import Grid"])
def test_importing_does_not_import_torch(statement):
    done = run_python(f"import sys; {statement}; print([m for m in ('torch', 'PIL', 'numpy') if m in sys.modules])")
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_verify_is_the_function_even_when_its_folder_is_imported_first():
    done = run_python("import fullyconv.verify; import fullyconv; print(type(fullyconv.verify).__name__)")
    assert (done.stdout.strip(), done.stderr) == ("function", "")


def test_help_lists_all_commands():
    done = subprocess.run([sys.executable, "-m", "fullyconv", "--help"], capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("│") and len(line.split()) > 2}
    assert set(COMMANDS) <= listed


def test_version_answers_at_once_and_is_the_package_s():
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "fullyconv", "--version"], capture_output=True, text=True, check=True
        )
        times.append(time.perf_counter() - start)
    assert done.stdout.strip() == fullyconv.__version__
    assert min(times) < 1.5, f"well under half a second on an idle machine, here {times}"
