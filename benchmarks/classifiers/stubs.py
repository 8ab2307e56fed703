"""torchvision beside a build of torch for which its compiled operations were not made.

No classifier uses those operations, but the import registers shapes for them and fails where one is missing. So
each is declared, without an implementation, and the import is tried again.
"""

from __future__ import annotations

import re
import sys
from types import ModuleType

import torch

_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")  # declarations last as long as this object

# More operations than any version of torchvision has: an import that still fails then has another reason.
_TRIES = 100


def import_torchvision() -> ModuleType:
    """Returns torchvision with its models, whether its compiled operations load or not."""
    for _ in range(_TRIES):
        try:
            import torchvision.models
        except RuntimeError as error:
            missing = _MISSING.search(str(error))
            if missing is None:
                raise
            _LIBRARY.define(f"{missing[1]}() -> ()")
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
        else:
            return torchvision
    raise ImportError("torchvision: its import asks for more and more operations; install a matching version")
