"""The original in two halves: its trunk on a whole image, its head on patches of the feature map.

Both halves are the user's own forward. The trunk runs until it has made the feature map and is then stopped;
the head runs on a window and finds, where the feature map is made, the patch put in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import torch
from torch import Tensor

from fullyconv.errors import ModelError
from fullyconv.verify.answer import Answer
from fullyconv.verify.assertions import run_past_assertions
from fullyconv.verify.calls import Call, Watcher
from fullyconv.verify.original import Original
from fullyconv.verify.route import Place, RouteError, RouteGuard, RouteRecorder, is_layout
from fullyconv.verify.splits import Probe

# The tensor as the conversion knows it and as the forward makes it differ by the order of sums, and by constants
# that one of them keeps in float32; another tensor of a random probe differs by about its largest value.
_RECOGNISED = {torch.float64: 1e-5, torch.float32: 1e-3}

# The same head on the same values differs by the order of sums, if at all.
_EQUAL = {torch.float64: 1e-9, torch.float32: 1e-3}

# Any seed: an image other than the probe, so that what the head gets past the cut shows.
_OTHER_SEED = 20


class SplitError(ModelError):
    """The tensors named as the split are none of the original's, or the head depends on more than them."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a forward makes its feature maps.

    Attributes:
        places: for each split tensor the calls that make it, in their order.
        steps: the route of the whole forward at window size.
        viewed: the places that make a tensor which does not begin with the batch, so that only a view of it does: a
            linear layer multiplies the cells of all windows as one matrix, `(B * cells, C)`.
    """

    places: tuple[tuple[Place, ...], ...]
    steps: tuple[str, ...]
    viewed: frozenset[Place] = frozenset()

    def all_places(self) -> tuple[Place, ...]:
        """Returns every place once."""
        return tuple(dict.fromkeys(place for places in self.places for place in places))

    def guard(self) -> RouteGuard:
        """Returns a watcher that stops a forward which leaves the route before the last place."""
        return RouteGuard(self.steps, self.all_places())


@dataclass(frozen=True, slots=True)
class TorchHalves:
    """A module cut at its feature maps.

    Attributes:
        original: the whole.
        cut: where its forward makes the maps.
    """

    original: Original
    cut: Cut

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps of whole images; see `run_trunk`."""
        return run_trunk(self.original, self.cut, images)

    def head(self, patches: Sequence[Tensor]) -> dict[str, Answer]:
        """Returns the outputs for patches; see `run_head`."""
        return run_head(self.original, self.cut, patches)


def find_cut(original: Original, probe: Probe) -> Cut:
    """Returns where the forward makes the split tensors, known by their values for the probe.

    Several calls in a row may make the same values: a pool to the size that the map has anyway, a copy, a
    rectifier after a rectifier. The first counts: everything after it sees what is put there, and whatever
    does nothing at window size alone then works on patches, as it must, and not on the whole map. Only where
    the same tensor is computed twice, side by side, do all of them count. The same values in the same order
    are the same tensor, whatever its shape: a map of one cell is found before it is flattened.

    Raises:
        SplitError: no call makes one of the tensors, or the head depends on more than them.
    """
    dtype = original.dtype
    values = [split.value.to(dtype) if split.value.is_floating_point() else split.value for split in probe.splits]
    search = _Search([original.fill_batch(value) for value in values])
    recorder = RouteRecorder()
    original.run(probe.image, recorder, search)
    for split, places in zip(probe.splits, search.found, strict=True):
        if not places:
            raise SplitError(f"{split.name}: expected a tensor of the original here, but none of its calls makes it")
    batch = len(original.fill_batch(probe.image))
    viewed = frozenset(one.place for found in search.found for one in found if one.shape[:1] != (batch,))
    for chosen in (slice(1), slice(None)):
        makers = tuple(tuple(one.place for one in found[chosen]) for found in search.found)
        cut = Cut(makers, tuple(recorder.steps), viewed)
        if _is_complete(original, cut):
            return cut
    raise SplitError(
        f"{', '.join(split.name for split in probe.splits)}: the head gets something past the split, so its "
        "outputs on patches are not those of the original"
    )


def _is_complete(original: Original, cut: Cut) -> bool:
    shape = original.window.shape
    other = torch.randn(shape, generator=torch.Generator().manual_seed(_OTHER_SEED), dtype=original.dtype)
    answers = run_head(original, cut, run_trunk(original, cut, other))
    return all(_is_same(answers[name].scores, answer.scores, _EQUAL) for name, answer in original.answer(other).items())


def run_trunk(original: Original, cut: Cut, images: Tensor) -> list[Tensor]:
    """Returns the feature maps of whole images `(N, C, H, W)`, one for each split tensor.

    Raises:
        RouteError: the forward depends on the image's size before the feature maps are made.
        Exception: whatever the user's own forward raises on an image larger than the window.
    """

    def compute(given: list[Tensor]) -> list[Tensor]:
        maps, passed = run_past_assertions(lambda: _catch_maps(original, cut, given[0]))
        original.passed_over.update(dict.fromkeys(passed))
        return maps

    return original.in_batches([images], compute)


def _catch_maps(original: Original, cut: Cut, images: Tensor) -> list[Tensor]:
    places = [places[0] for places in cut.places]
    catcher = _Catcher(places, cut.viewed, len(original.fill_batch(images)))
    try:
        original.run(images, cut.guard(), catcher)
    except _AllCaughtError:
        pass
    except Exception:  # TorchScript's interpreter raises its own error in place of what stopped it
        if not catcher.is_done():
            raise
    if not catcher.is_done():
        raise RouteError("the model's forward ends before its feature maps are made")
    return [catcher.caught[place] for place in places]


def run_head(original: Original, cut: Cut, patches: Sequence[Tensor]) -> dict[str, Answer]:
    """Returns the outputs, by name, of the original's head for patches `(B, ...)`, one for each split tensor.

    Raises:
        RouteError: the forward depends on the number of images.
    """

    def prepare(given: list[Tensor]) -> tuple[Tensor, list[Watcher]]:
        count = len(given[0])
        patch_at = {
            place: original.fill_batch(patch)
            for places, patch in zip(cut.places, given, strict=True)
            for place in places
        }
        dummies = original.window[torch.arange(count) % len(original.window)]
        return dummies, [cut.guard(), _Injector(patch_at)]

    return original.collect_answers(patches, prepare)


@dataclass(frozen=True, slots=True)
class _Found:
    """A call that makes a wanted tensor, and the shape in which it makes it."""

    place: Place
    shape: torch.Size


class _Search:
    """Finds the calls that make given tensors."""

    def __init__(self, wanted: Sequence[Tensor]) -> None:
        self._wanted = wanted
        self.found: list[list[_Found]] = [[] for _ in wanted]

    def before(self, call: Call) -> None:
        pass

    def after(self, call: Call, made: Sequence[Tensor]) -> None:
        for leaf, tensor in enumerate(made):
            for wanted, found in zip(self._wanted, self.found, strict=True):
                if _recognise(tensor, wanted):
                    found.append(_Found(Place(call.operation, call.ordinal, leaf), tensor.shape))


class _AllCaughtError(BaseException):
    """Stops a forward; no `except Exception` in the user's own code may stop it."""


class _Catcher:
    """Keeps the tensors made at some places, or views of them with the batch in front, and stops after the last."""

    def __init__(self, places: Sequence[Place], viewed: Set[Place], batch: int) -> None:
        self._places = set(places)
        self._viewed = viewed
        self._batch = batch
        self._waiting: dict[Place, Tensor] = {}
        self.caught: dict[Place, Tensor] = {}

    def before(self, call: Call) -> None:
        pass

    def after(self, call: Call, made: Sequence[Tensor]) -> None:
        for place in self._places:
            if place.is_made_by(call):
                kept = self._waiting if place in self._viewed else self.caught
                kept[place] = made[place.leaf].clone()
        if is_layout(call.operation):
            self._catch_views(made[0])
        if self.is_done():
            raise _AllCaughtError

    def is_done(self) -> bool:
        """Returns whether everything has been caught."""
        return self._places == self.caught.keys()

    def _catch_views(self, view: Tensor) -> None:
        for place, tensor in list(self._waiting.items()):
            has_batch = view.shape[:1] == (self._batch,) and view.numel() == tensor.numel()
            if has_batch and torch.equal(view.reshape(-1), tensor.reshape(-1)):
                self.caught[place] = self._waiting.pop(place).reshape(view.shape)


class _Injector:
    """Puts patches where the forward makes its feature maps."""

    def __init__(self, patch_at: dict[Place, Tensor]) -> None:
        self._patch_at = patch_at

    def before(self, call: Call) -> None:
        pass

    def after(self, call: Call, made: Sequence[Tensor]) -> None:
        for place, patch in self._patch_at.items():
            if place.is_made_by(call):
                made[place.leaf].copy_(patch.reshape(made[place.leaf].shape))


def _recognise(made: Tensor, wanted: Tensor) -> bool:
    if made.numel() != wanted.numel() or made.dtype != wanted.dtype or not made.numel():
        return False
    return _is_same(made.reshape(wanted.shape), wanted, _RECOGNISED)


def _is_same(found: Tensor, wanted: Tensor, limits: Mapping[torch.dtype, float]) -> bool:
    if not wanted.is_floating_point():
        return torch.equal(found, wanted)
    return bool((found - wanted).abs().max() <= limits[wanted.dtype] * wanted.abs().max())
