"""Options of `fullyconv detect` for images that are searched part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True)
class LargeOptions:
    """What is done with the scans on disk that searching a large image takes.

    Attributes:
        bands: of an image with many bands, which to take, counted from 1, such as 4,3,2.
        keep_scores: keep the score maps of large images, NAME.scan/0.zarr for the first scale and so on; fullyconv
            export reads them.
        overwrite: begin anew, in place of scans that an earlier run left.
        retry_failed: run those parts again that could not be read, also from an image that was mended since; images
            that are done are left as they are.
    """

    bands: str | None = None
    keep_scores: Annotated[bool, Parameter(negative=())] = False
    overwrite: Annotated[bool, Parameter(negative=())] = False
    retry_failed: Annotated[bool, Parameter(negative=())] = False
