"""From images and annotations to a checked data set with a config that trains on it."""
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from shufflenet_runtime.files import is_utf8, printable

from mmengine.config import Config

from ..common.cli import check_writable, write_atomically
from ..common.config import load_config
from ..common.errors import ConfigError, DataError, shorten
from ..evaluation.report import resolution_of
from .check import ImageFolder, match
from .coco_json import read_coco
from .config import DEFAULT_BASE, config_text, load_base, scales_rate, schedule_for
from .records import Picture
from .split import classes_in, split
from .voc_xml import read_voc

_SINGLE = (
    ' If these are single objects, as some tools mark every mask, set iscrowd to 0 in the '
    'annotations'
)
# the picture is drawn by tools/prepare_data.py, from the others
FILES = ('annotations/train.json', 'annotations/val.json', 'config.py', 'annotated.jpg')


@dataclass(frozen=True)
class Prepared:
    """What :func:`prepare` has made.

    Attributes:
        out: folder with ``config.py`` and ``annotations/{train,val}.json``.
        classes: names in the order of labels.
        train, val: the images of both parts.
        config: what ``config.py`` says.
        scales_rate: whether training needs ``--auto-scale-lr``.
        notes: what was changed, left out or looks odd, a sentence each.
    """

    out: Path
    classes: tuple[str, ...]
    train: list[Picture]
    val: list[Picture]
    config: Config
    scales_rate: bool
    notes: list[str]


def prepare(
    images: Path,
    annotations: Path,
    out: Path,
    *,
    val_annotations: Path | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    base: str | None = None,
    steps: int | None = None,
    mend: bool = False,
    force: bool = False,
) -> Prepared:
    """Check a data set, divide it and write what training needs; images stay where they are.

    Args:
        images: folder of the images.
        annotations: a COCO JSON file, or a folder of Pascal VOC XML files.
        out: folder for the results.
        val_annotations: annotations to validate on, likewise; instead of ``val_share``.
        val_share: share of the images to validate on.
        seed: of the division and of the run.
        classes: names to learn, in the order of labels; all that have an object if None.
        base: config to inherit; ShuffleNet 0.5x, Faster R-CNN C4 at 300 pixels if None.
        steps: length of training; sized to the number of images if None.
        mend: correct boxes that reach outside their image, rather than refuse them.
        force: replace what an earlier call has written.

    Raises:
        ConfigError: an argument cannot be, or results are there already.
        DataError: the data cannot be trained on; the message names all that is to be mended.
    """
    _check_arguments(annotations, val_annotations, out, val_share, steps, seed, force)
    for path in (images.absolute(), out.absolute()):
        if not is_utf8(path):
            raise ConfigError(
                f'{printable(str(path))}: a config cannot hold a path that is not UTF-8. Rename '
                'the folder; names of images may be what they are.'
            )
    base_path = base or str(DEFAULT_BASE)
    base_config = load_base(base_path)
    folder = ImageFolder(images)
    resolution = resolution_of(base_config)
    names, train, notes = _read(annotations, folder, mend, resolution)
    notes += [f'images left out: {reason}' for reason in folder.left_out]
    chosen, train = _choose(classes, names, train, annotations, notes)
    if val_annotations is None:
        unnamed = set(folder.files) - {picture.names[0] for picture in train}
        train, val = split(train, val_share, seed)
    else:
        _, val, val_notes = _read(val_annotations, folder, mend, resolution)
        notes += [f'{note} (validation)' for note in val_notes]
        val = _only(chosen, val, strict=classes is None, source=val_annotations)
        _check_apart(train, val, val_annotations)
        unnamed = set(folder.files) - {picture.names[0] for picture in [*train, *val]}
    notes += _remarks(chosen, train, val, unnamed)
    check_writable(out, '--out')
    schedule = schedule_for(len(train), steps)
    text = config_text(
        base_path, base_config, out, images, chosen, schedule, len(train), seed
    )
    config = _read_draft(text, out, base_path)
    for part, pictures in (('train', train), ('val', val)):
        tables = _coco_tables(pictures, chosen)
        write_atomically(out / 'annotations' / f'{part}.json', json.dumps(tables) + '\n')
    # last, because whoever finds it finds all
    write_atomically(out / 'config.py', text)
    return Prepared(out, chosen, train, val, config, scales_rate(base_config), notes)


def _check_arguments(
    annotations: Path, val_annotations: Path | None, out: Path, val_share: float,
    steps: int | None, seed: int, force: bool,
) -> None:  # fmt: skip
    if not 0 < val_share < 1:
        raise ConfigError(f'--val-share {val_share}: give a share above 0 and below 1.')
    if seed < 0 or (steps is not None and steps < 1):
        raise ConfigError('--seed must be 0 or more, --steps must be 1 or more.')
    # as MMEngine finds the folder of a config, whose name it puts into the text
    folder = Path(os.path.abspath(out)).as_posix()
    if '"' in folder or '\\' in folder:
        raise ConfigError(
            f'--out {folder}: a config cannot be read from a folder with a double quote or a '
            'backslash in its path. Choose another.'
        )
    results = [out / name for name in FILES]
    for source in filter(None, (annotations, val_annotations)):
        if not source.exists():
            raise DataError(f'annotations not found: {source}.')
        if source.resolve() in [result.resolve() for result in results]:
            raise ConfigError(f'{source} would be replaced by the result: choose another --out.')
    existing = [str(result) for result in results if result.exists()]
    if existing and not force:
        raise ConfigError(
            f'{shorten(existing)} exist already: choose another --out, or --force replaces them.'
        )


def _read_draft(text: str, out: Path, base: str) -> Config:
    """What a config file says, before anything else is written beside it."""
    draft = out / '.config_draft.py'
    try:
        draft.write_text(text)
        return load_config(str(draft))
    except ConfigError as error:
        raise ConfigError(f'{base} cannot be inherited, name another --base: {error}') from None
    finally:
        draft.unlink(missing_ok=True)


def _read(
    annotations: Path, folder: ImageFolder, mend: bool, resolution: Sequence[int] | None
) -> tuple[tuple[str, ...], list[Picture], list[str]]:
    """Class names, checked pictures and notes."""
    names, pictures = (read_voc if annotations.is_dir() else read_coco)(annotations)
    if not any(picture.boxes for picture in pictures):
        raise DataError(
            f'{annotations} has no annotation at all, for {len(pictures)} images. Export it again, '
            'with the boxes.'
        )
    pictures, notes = match(pictures, folder, mend, annotations, resolution)
    return names, pictures, notes


def _choose(
    wanted: Sequence[str] | None, names: Sequence[str], pictures: list[Picture], source: Path,
    notes: list[str],
) -> tuple[tuple[str, ...], list[Picture]]:  # fmt: skip
    """The classes to learn, and the pictures with boxes of no others."""
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
        return classes, _only(classes, pictures)
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
    return tuple(wanted), _only(tuple(wanted), pictures)


def _only(
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


def _check_apart(train: list[Picture], val: list[Picture], source: Path) -> None:
    shared = {p.names[0] for p in train} & {p.names[0] for p in val}
    if shared:
        raise DataError(
            f'{len(shared)} images are in both the training annotations and {source}: '
            f'{shorten(sorted(shared), 5)}. Take them out of one; a detector is good at images '
            'that it was trained on.'
        )


def _remarks(
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
    shown = Counter(name for picture in val for name in classes_in(picture))
    absent = [name for name in classes if not shown[name]]
    if absent:
        notes.append(
            f'classes that no validation image shows, so that nothing tells how well they are '
            f'found: {shorten(absent)}'
        )
    return notes


def _coco_tables(pictures: list[Picture], classes: tuple[str, ...]) -> dict:
    """A COCO annotation file: ids from 1, in the order of classes, images and boxes."""
    ids = {name: number for number, name in enumerate(classes, 1)}
    images, annotations = [], []
    for number, picture in enumerate(pictures, 1):
        width, height = picture.size
        images.append(dict(id=number, file_name=picture.names[0], width=width, height=height))
        for box in picture.boxes:
            area = box.bbox[2] * box.bbox[3] if box.area is None else box.area
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=ids[box.category],
                    bbox=list(box.bbox),
                    area=area,
                    iscrowd=int(box.crowd),
                )
            )
    categories = [dict(id=number, name=name) for name, number in ids.items()]
    return dict(images=images, annotations=annotations, categories=categories)
