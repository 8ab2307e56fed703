"""From the fragments of a network's last maps to its scores on the grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import lcm
from typing import TYPE_CHECKING

from torch import Tensor

from fullyconv.analyze.plan import Output
from fullyconv.graph import Pair
from fullyconv.refine.fragments import Fragments, Wanted, paste
from fullyconv.refine.interleaved import Interleaved
from fullyconv.refine.lattice import Lattice
from fullyconv.rewrite.fragment_run import Apart, FragmentRun, Maps
from fullyconv.rewrite.grid_module import shape_scores
from fullyconv.rewrite.program import WindowedHead
from fullyconv.rewrite.refined import Route
from fullyconv.rewrite.windowed import run_head

if TYPE_CHECKING:
    from fullyconv.rewrite.dense_module import DenseModule

FRAGMENT_MEMORY_BYTES = 128 << 20
"""What the maps of one group of fragments may take, unless `DenseModel.with_fragment_memory` says otherwise."""


def run_fragments(module: DenseModule, route: Route, images: Tensor, outputs: Sequence[Output]) -> list[Tensor]:
    """Returns outputs `(N, d1, ..., Gy, Gx)` on a grid finer than the network's own.

    Args:
        module: the network.
        route: its stages on fragments.
        images: `(N, C, H, W)`.
        outputs: which.
    """
    program, size = module.program, (int(images.shape[2]), int(images.shape[3]))
    limit = (size[0] - program.window[0], size[1] - program.window[1])
    wanted = Wanted(program.stride, limit)
    scores = _Scores(route, wanted, program.head, outputs, module)
    ends = {output.tensor for output in outputs if output.tensor}
    ends |= {cut.tensor for cut in program.head.cuts} if program.head else set()
    run = FragmentRun(route, module.list_weights(), wanted, frozenset(ends), module.fragment_bytes)
    run.run(program.image, module.align(images), scores.receive)
    return scores.list_all()


class _Scores:
    """Collects the scores of groups of fragments."""

    def __init__(
        self, route: Route, wanted: Wanted, head: WindowedHead | None, outputs: Sequence[Output], module: DenseModule
    ) -> None:
        self._route, self._wanted, self._head, self._outputs, self._module = route, wanted, head, outputs, module
        rows, columns = (limit // step + 1 for limit, step in zip(wanted.limit_px, wanted.step_px, strict=True))
        self._grid = (rows, columns)
        self._maps: dict[str, Tensor] = {}

    def list_all(self) -> list[Tensor]:
        """Returns the outputs."""
        return [
            shape_scores(self._maps[output.value], output) if output.tensor else self._maps[output.value]
            for output in self._outputs
        ]

    def receive(self, maps: Maps) -> None:
        """Takes the last maps of some fragments."""
        for output in self._outputs:
            if output.tensor:
                self._paste(output, maps[output.tensor])
        if self._head is not None and any(not output.tensor for output in self._outputs):
            apart = {cut.tensor: self._divide(maps[cut.tensor]) for cut in self._head.cuts}
            for offset in self._list_offsets(self._head, apart):
                self._run_head(self._head, apart, offset)

    def _divide(self, map_: Fragments | Interleaved) -> Fragments:
        return map_.divide(self._wanted.limit_px) if isinstance(map_, Interleaved) else map_

    def _paste(self, output: Output, map_: Fragments | Interleaved) -> None:
        if isinstance(map_, Interleaved):
            height, width = self._grid
            self._maps[output.value] = map_.tensor[..., :height, :width]
            return
        rows, columns = self._route.lattices[output.tensor]
        grid = self._find_grid(output.value, map_.view(0, 0)[0, 0])
        paste(map_, grid, self._wanted.step_px, (rows.period, columns.period))

    def _find_grid(self, name: str, like: Tensor) -> Tensor:
        """Returns the whole map of an output, of which `(N, ..., h, w)` are some values."""
        if name not in self._maps:
            self._maps[name] = like.new_empty((*like.shape[:-2], *self._grid))
        return self._maps[name]

    def _list_offsets(self, head: WindowedHead, maps: Apart) -> Iterator[Pair]:
        """Yields where windows begin that lie a whole number of fragments' periods apart."""
        pairs = [(maps[cut.tensor], self._route.lattices[cut.tensor]) for cut in head.cuts]
        rows, columns = (
            [
                offset
                for offset in range(0, min(self._find_every(head, axis), self._wanted.limit_px[axis] + 1), step)
                if all(_serves(map_, lattice[axis], offset, axis) for map_, lattice in pairs)
            ]
            for axis, step in enumerate(self._wanted.step_px)
        )
        yield from ((y, x) for y in rows for x in columns)

    def _find_every(self, head: WindowedHead, axis: int) -> int:
        """Returns how many pixels apart windows lie that the same fragments serve."""
        periods = [self._route.lattices[cut.tensor][axis].period for cut in head.cuts]
        return lcm(*periods, self._wanted.step_px[axis])

    def _run_head(self, head: WindowedHead, maps: Apart, offset: Pair) -> None:
        every = (self._find_every(head, 0), self._find_every(head, 1))
        tensors = dict(self._module.list_weights())
        cuts = []
        for cut in head.cuts:
            lattices = self._route.lattices[cut.tensor]
            tensors[cut.tensor] = maps[cut.tensor].cut(offset, lattices)
            cuts.append(replace(cut, step=(every[0] // lattices[0].stride, every[1] // lattices[1].stride)))
        limit, step = self._wanted.limit_px, self._wanted.step_px
        shape = ((limit[0] - offset[0]) // every[0] + 1, (limit[1] - offset[1]) // every[1] + 1)
        some = replace(head, cuts=tuple(cuts))
        made = run_head(some, tensors, shape, self._outputs, self._module.memory_bytes)
        for name, values in made.items():
            grid = self._find_grid(name, values)
            grid[..., offset[0] // step[0] :: every[0] // step[0], offset[1] // step[1] :: every[1] // step[1]] = values


def _serves(map_: Fragments, lattice: Lattice, offset: int, axis: int) -> bool:
    begin, _ = lattice.locate(offset)
    return any(begin in part for part in (map_.rows, map_.columns)[axis])
