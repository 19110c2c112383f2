"""Which classes of a data set are learned, and what looks odd in it."""
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from ..common.errors import ConfigError, DataError, shorten
from .records import Picture
from .split import classes_in

_SINGLE = (
    ' If these are single objects, as some tools mark every mask, set iscrowd to 0 in the '
    'annotations'
)


def choose(
    wanted: Sequence[str] | None, names: Sequence[str], pictures: list[Picture], source: Path,
    notes: list[str],
) -> tuple[str, ...]:  # fmt: skip
    """The classes to learn, in the order of labels.

    Args:
        wanted: names to learn; all that have an object if None.
        names: that the annotations know.
        pictures: with their boxes.
        source: the annotations, for messages.
        notes: is added to.

    Raises:
        ConfigError: a name comes twice in ``wanted``.
        DataError: there is no object of one, or none at all.
    """
    present = set().union(*map(classes_in, pictures))
    if wanted is None:
        unused = [name for name in names if name not in present]
        if unused:
            notes.append(f'categories without an object are left out: {shorten(unused)}')
        classes = tuple(name for name in names if name in present)
        if not classes:
            raise DataError(
                f'{source} has crowds or difficult objects only: nothing to learn.{_SINGLE}'
            )
        return classes
    if len(set(wanted)) < len(wanted):
        raise ConfigError(f'--classes names a class twice: {" ".join(wanted)}.')
    absent = [name for name in wanted if name not in present]
    if absent:
        near = [f'{n} (near: {m[0]})' for n in absent if (m := get_close_matches(n, present, 1))]
        raise DataError(
            f'--classes: no object of {source} is of {shorten(absent)}. '
            + (f'Alike: {shorten(near)}. ' if near else '')
            + f'Its classes are: {shorten(sorted(present), 20)}.'
        )
    return tuple(wanted)


def only(
    classes: tuple[str, ...], pictures: Iterable[Picture], strict: bool = False,
    source: Path | None = None,
) -> list[Picture]:  # fmt: skip
    """The pictures with their boxes of some classes; an image may become a negative.

    Raises:
        DataError: with ``strict``, a box is of another class.
    """
    pictures = list(pictures)
    others = {box.category for p in pictures for box in p.boxes} - set(classes)
    if strict and others:
        raise DataError(
            f'{source} has classes of which the training annotations have no object: '
            f'{shorten(sorted(others))}. Theirs are: {shorten(classes)}. Give one name to one '
            'class in both, or choose with --classes.'
        )
    return [
        replace(p, boxes=tuple(box for box in p.boxes if box.category in classes))
        for p in pictures
    ]


def check_apart(train: list[Picture], val: list[Picture], source: Path) -> None:
    """Raise :class:`DataError` where an image is in both parts; ``source`` has the second."""
    shared = {p.names[0] for p in train} & {p.names[0] for p in val}
    if shared:
        raise DataError(
            f'{len(shared)} images are in both the training annotations and {source}: '
            f'{shorten(sorted(shared), 5)}. Take them out of one; a detector is good at images '
            'that it was trained on.'
        )


def remarks(
    classes: tuple[str, ...], train: list[Picture], val: list[Picture], unnamed: set[str]
) -> list[str]:
    """What looks odd, though it can be trained on."""
    notes = []
    if unnamed:
        notes.append(
            f'images left out that are not in the annotations: {len(unnamed)} '
            f'({shorten(sorted(unnamed), 3)})'
        )
    boxes = [box for p in [*train, *val] for box in p.boxes]
    crowds = Counter(box.category for box in boxes if box.crowd)
    if crowds:
        each = shorten(f'{name} {count}' for name, count in crowds.items())
        notes.append(
            f'objects that are neither learned nor counted (marked iscrowd, ignore or difficult): '
            f'{crowds.total()} of {len(boxes)} ({each}).{_SINGLE}'
        )
    negatives = sum(not p.boxes for p in [*train, *val])
    if negatives:
        notes.append(f'images without an object, kept as negatives: {negatives}')
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(''.join(filter(str.isalnum, name.casefold())) or name, []).append(name)
    notes += [f'classes that look like one: {", ".join(n)}' for n in alike.values() if len(n) > 1]
    learned = Counter(name for picture in train for name in classes_in(picture))
    unseen = [name for name in classes if not learned[name]]
    if unseen:
        notes.append(f'classes that no training image shows, so that they are not learned: '
                     f'{shorten(unseen)}')  # fmt: skip
    shown = Counter(name for picture in val for name in classes_in(picture))
    absent = [name for name in classes if not shown[name]]
    if absent:
        notes.append(
            f'classes that no validation image shows, so that nothing tells how well they are '
            f'found: {shorten(absent)}'
        )
    return notes
