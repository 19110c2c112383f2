"""Comparing an exported network in its engine with PyTorch."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from shufflenet_runtime.engine import Engine
from shufflenet_runtime.sessions import Outputs, Session

import numpy as np

from .agreement import BOX_TOLERANCE, LEAST_SCORE, SCORE_TOLERANCE, Difference, compare
from .errors import ExportError
from .networks import Exportable
from .pictures import SHAPES, ProbeImage, plain, rendered

# pictures of a shape that are tried before PyTorch is said to be undecided on all of them
_TRIES = 5
# for networks that have no size of their own
_ANY_SIZE = dict(rule='fit', long=288, short=224)
# in grey levels: a few times the rounding inside a network, far below what a picture has
_NOISE = 1e-4


@dataclass(frozen=True)
class Checked:
    """An engine's results on one picture, beside PyTorch's.

    Attributes:
        picture: name and size.
        difference: between the two.
    """

    picture: str
    difference: Difference


def choose_pictures(
    source: Exportable,
    resize: Mapping[str, Any] | None,
    given: Sequence[ProbeImage] = (),
    own: Sequence[ProbeImage] = (),
) -> list[tuple[ProbeImage, Outputs]]:
    """Pictures for the comparison, with PyTorch's results on each.

    Without given ones these are the own ones and rendered scenes: landscape, portrait and square.
    One picture more is plain, and where possible one on which nothing is detected. Pictures on
    which PyTorch's own detections depend on its rounding are left out, but for given ones.

    Args:
        source: the network.
        resize: its resize rule.
        given: pictures that the user names.
        own: of the validation set of a detector.

    Raises:
        ExportError: there is nothing to compare.
    """
    channels = source.description['channels']
    if given:
        chosen = [(picture, source.predict(picture.images)) for picture in given]
    elif source.kind == 'detector':
        every = [(picture, source.predict(picture.images)) for picture in own]
        chosen = [pair for pair in every if is_decided(source, pair[0].images, pair[1])]
        chosen += [_first_decided(source, rendered(s, resize, channels)) for s in SHAPES]
    else:
        rules = [_ANY_SIZE] * len(SHAPES) if source.size is None else [resize]
        pictures = [next(rendered(s, r, channels)) for s, r in zip(SHAPES, rules, strict=False)]
        pictures.append(pictures[-1].mirrored())
        chosen = [(picture, source.predict(picture.images)) for picture in pictures]
    if source.kind != 'detector':
        return chosen
    if not any((found['scores'] > LEAST_SCORE).any() for _, found in chosen):
        raise ExportError(
            f'PyTorch detects nothing with a score above {LEAST_SCORE} in '
            f'{", ".join(picture.name for picture, _ in chosen)}: there is nothing to compare '
            f'the exported detector with. Give pictures with objects with --images.'
        )
    return chosen + _empty(source, plain(resize, channels))


def _first_decided(
    source: Exportable, pictures: Iterator[ProbeImage]
) -> tuple[ProbeImage, Outputs]:
    for picture in islice(pictures, _TRIES):
        expected = source.predict(picture.images)
        if is_decided(source, picture.images, expected):
            return picture, expected
    raise ExportError(
        f'on {_TRIES} rendered scenes PyTorch itself finds other detections where pixels change by '
        f'{_NOISE} grey levels, so that nothing can be compared: is the checkpoint trained? Give '
        f'pictures of your own with --images.'
    )


def is_decided(
    source: Exportable, images: np.ndarray, expected: Outputs, times: int = 2
) -> bool:
    """Whether PyTorch's detections stay the same under a noise that nobody could see.

    A box suppresses another or not, a proposal is among the best or not: close decisions fall the
    one way or the other with the order of additions, in PyTorch as in any engine.
    """
    rng = np.random.default_rng(0)
    thresholds = source.description.get('thresholds')
    for _ in range(times):
        noise = rng.uniform(-_NOISE, _NOISE, images.shape)
        found = source.predict((images + noise).astype(np.float32))
        if not compare('detector', expected, found, thresholds).agrees:
            return False
    return True


def _empty(source: Exportable, pictures: Iterable[ProbeImage]) -> list[tuple[ProbeImage, Outputs]]:
    for picture in pictures:
        expected = source.predict(picture.images)
        if not len(expected['scores']):
            return [(picture, expected)]
    # in a plain picture all places are equal, and which of them is the best is nobody's decision
    return []


def check(
    source: Exportable,
    session: Session,
    pictures: Sequence[tuple[ProbeImage, Outputs]],
) -> list[Checked]:
    """Run an exported network on pictures and compare it with PyTorch."""
    thresholds = source.description.get('thresholds')
    checked = []
    for picture, expected in pictures:
        difference = compare(source.kind, expected, session(picture.images), thresholds)
        checked.append(Checked(picture.name, difference))
    return checked


def require_agreement(engine: Engine, checked: Sequence[Checked], kind: str) -> None:
    """Raise :class:`ExportError` if an engine does not agree with PyTorch on every picture."""
    bad = [c for c in checked if not c.difference.agrees]
    if not bad:
        return
    if kind == 'detector':
        details = '; '.join(
            f'{c.picture}: {c.difference.unmatched} detections without a partner within '
            f'{BOX_TOLERANCE} pixels and {SCORE_TOLERANCE} in score, of {c.difference.compared}'
            for c in bad
        )
    else:
        details = '; '.join(
            f'{c.picture}: {c.difference.unmatched} of {c.difference.compared} values off, by up '
            f'to {c.difference.scores:.2g}'
            for c in bad
        )
    raise ExportError(
        f'{engine.model} does not agree with PyTorch in {engine.name}, and is not kept: {details}.'
    )


def largest(checked: Sequence[Checked]) -> dict[str, float | int]:
    """The largest differences over all pictures, for ``deploy.json``."""
    return dict(
        pictures=len(checked),
        compared=sum(c.difference.compared for c in checked),
        boxes=max((c.difference.boxes or 0.0) for c in checked),
        scores=max(c.difference.scores for c in checked),
    )


def open_and_check(
    source: Exportable,
    engine: Engine,
    folder: Path,
    pictures: Sequence[tuple[ProbeImage, Outputs]],
) -> list[Checked]:
    """Load a written network and compare it.

    Raises:
        ExportError: it does not agree with PyTorch.
        EngineError: the engine cannot load it.
    """
    checked = check(source, engine.open(folder), pictures)
    require_agreement(engine, checked, source.kind)
    return checked
