import subprocess
import sys

import pytest

from fullyconv.errors import MissingExtraError
from fullyconv.train.libraries import import_ignite, import_kornia


def test_both_libraries_come_without_warnings():
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "from fullyconv.train.libraries import import_ignite, import_kornia\n"
        "print(import_ignite('engine').__name__, import_kornia('augmentation').__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("ignite.engine kornia.augmentation\n", "")


@pytest.mark.parametrize(("name", "load"), [("ignite", import_ignite), ("kornia", import_kornia)])
def test_a_missing_library_names_the_extra(monkeypatch, name, load):
    class Absent:
        def find_spec(self, module, path=None, target=None):
            if module.split(".")[0] == name:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=rf"{name}.* is not installed; .* pip install 'fullyconv\[train\]'"):
        load("engine")
