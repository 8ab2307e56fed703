"""`fullyconv export`: a scan in the formats that others open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullyconv.cli.export_options import ExportOptions

_OPTIONS = ExportOptions()


def export(
    scan: Path,
    /,
    *,
    output: Annotated[list[Path], Parameter(name=["--output", "-o"], negative=())],
    options: ExportOptions = _OPTIONS,
) -> int:
    """Writes a scan in the formats that others open.

    The score map alone can also be written of a scan that was interrupted. What is there under a name is replaced.

    Args:
        scan: a score map, OUT.zarr, written by fullyconv scan.
        output: a file; may be given several times. Its name decides what it is: .tif is the score map as a GeoTIFF in
            the image's place (needs the extra geo); .geojson boxes for QuPath; .csv a table of boxes; .png a picture.
        options: what to export, and how.
    """
    from fullyconv.export.targets import check_targets, export_scan
    from fullyconv.scan.score_store import ScoreStore

    settings, store = options.to_settings(), ScoreStore.open(scan)
    check_targets(store, output, settings)
    for target in output:
        print(f"{target}: {export_scan(store, target, settings)}", flush=True)
    return 0
