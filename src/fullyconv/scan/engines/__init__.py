"""What computes the tiles of a scan: this process, several, or a cluster. The same scores, whichever it is."""

from fullyconv.scan.engines.cluster import Cluster
from fullyconv.scan.engines.engine import Engine, TileOutcome
from fullyconv.scan.engines.here import InProcess
from fullyconv.scan.engines.processes import Processes

__all__ = ["Cluster", "Engine", "InProcess", "Processes", "TileOutcome"]
