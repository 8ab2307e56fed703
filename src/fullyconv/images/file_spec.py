"""What the specs of all kinds of image files have in common: where the file lies, and which bands are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fullyconv.images.identity import identify_file
from fullyconv.images.stored import Bands


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file, or a folder, as an image; each kind adds how it is opened.

    Attributes:
        path: the file.
        bands: which to read, counted from 1; None for those of a picture.
    """

    path: Path
    bands: Bands | None = None

    @property
    def name(self) -> str:
        """What people call it: its path."""
        return str(self.path)

    def identify(self) -> str:
        """Returns a text that is another one if the file is replaced.

        Raises:
            ImageError: the file is missing.
        """
        return identify_file(self.path)
