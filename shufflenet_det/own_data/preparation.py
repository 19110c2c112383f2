"""From images and annotations to a checked data set with a config that trains on it."""
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shufflenet_runtime.files import is_utf8, printable

from mmengine.config import Config

from ..common.cli import check_writable, write_atomically
from ..common.config import load_config, require_configs
from ..common.config_differences import plain
from ..common.config_writing import write_config
from ..common.errors import ConfigError, DataError, shorten
from .bases import adapted
from .check import ImageFolder, match
from .choice import check_apart, choose, only, remarks
from .config import DEFAULT_BASE, config_text, require_heads, schedule_for
from .reading import YAML, read_annotations
from .records import AnnotatedImage
from .resolution import Resizing
from .split import classes_in, split

# the picture is drawn by tools/prepare_data.py, from the others
FILES = (
    'annotations/train.json', 'annotations/val.json', 'base.py', 'config.py', 'annotated.jpg'
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """What :func:`prepare` has made.

    Attributes:
        out: folder with ``config.py`` and ``annotations/{train,val}.json``.
        images: folder that the names of the images are below.
        classes: names in the order of labels.
        train, val: the images of both parts.
        config: what ``config.py`` says.
        notes: what was changed, left out or looks odd, a sentence each.
    """

    out: Path
    images: Path
    classes: tuple[str, ...]
    train: list[AnnotatedImage]
    val: list[AnnotatedImage]
    config: Config
    notes: list[str]


def prepare(
    images: Path,
    annotations: Path | None,
    out: Path,
    *,
    val_annotations: Path | None = None,
    val_share: float = 0.2,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    base: str | None = None,
    change: Callable[[Config], Config] | None = None,
    size: int | None = None,
    steps: int | None = None,
    mend: bool = False,
    force: bool = False,
) -> Prepared:
    """Check a data set, divide it and write what training needs; images stay where they are.

    Args:
        images, annotations: as :func:`.reading.read_annotations` takes them.
        out: folder for the results.
        val_annotations: annotations to validate on, likewise; instead of ``val_share``.
        val_share: share of the images to validate on.
        seed: of the division and of the run.
        classes: names to learn, in the order of labels; all that have an object if None.
        base: config to inherit; :data:`.config.DEFAULT_BASE`, a light detector, if None.
        change: what makes another config of the base, such as an exchange of its backbone.
        size: pixels of the short side of an image; what the base says if None.
        steps: length of training; sized to the number of images if None.
        mend: correct boxes that reach outside their image, rather than refuse them.
        force: replace what an earlier call has written.

    Raises:
        ConfigError: an argument cannot be, or results are there already.
        DataError: the data cannot be trained on; the message names all that is to be mended.
    """
    _check_arguments(annotations, val_annotations, out, val_share, steps, seed, force)
    require_configs()
    base_path = base or str(DEFAULT_BASE)
    inherited = load_config(base_path)
    base_config = adapted(change(inherited) if change else inherited, base_path, size)
    require_heads(base_config, base_path)
    data = read_annotations(images, annotations)
    for path in (data.images.absolute(), out.absolute()):
        if not is_utf8(path):
            raise ConfigError(
                f'{printable(str(path))}: a config cannot hold a path that is not UTF-8. Rename '
                'the folder; names of images may be what they are.'
            )
    source = annotations or images
    if val_annotations is not None and (
        data.val is not None or {source.suffix, val_annotations.suffix} & {*YAML}
    ):
        raise ConfigError('--val-annotations: a data set that divides itself takes none, nor does '
                          'a data.yaml, which has a `val` for it.')  # fmt: skip
    folder = ImageFolder(data.images, data.folders)
    resizing = Resizing.of(base_config)
    train, notes = _checked(data.train, folder, mend, source, resizing)
    notes += [*data.notes, *(f'images left out: {reason}' for reason in folder.left_out)]
    val: list[AnnotatedImage] = []
    if data.val is not None:
        val, val_notes = _checked(data.val, folder, mend, source, resizing)
        notes += [f'{note} (validation)' for note in val_notes]
        chosen = choose(classes, data.classes, [*train, *val], source, notes)
        val = only(chosen, val)
    else:
        chosen = choose(classes, data.classes, train, source, notes)
    train = only(chosen, train)
    if val_annotations is not None:
        extra = read_annotations(images, val_annotations)
        val, val_notes = _checked(extra.train, folder, mend, val_annotations, resizing)
        notes += [f'{note} (validation)' for note in val_notes]
        val = only(chosen, val, strict=classes is None, source=val_annotations)
        check_apart(train, val, val_annotations)
    unnamed = set(folder.files) - {picture.names[0] for picture in [*train, *val]}
    if not val:
        train, val = split(train, val_share, seed)
    if not any(map(classes_in, train)):
        raise DataError(
            f'{source}: no training image has an object of {shorten(chosen)}. Divide the images '
            'otherwise, or learn other --classes.'
        )
    notes += remarks(chosen, train, val, unnamed)
    check_writable(out, '--out')
    schedule = schedule_for(len(train), steps)
    with _written(base_path, inherited, base_config, out) as base_path:
        text = config_text(
            base_path, base_config, out, data.images, chosen, schedule, train, seed
        )
        config = _read_draft(text, out, base_path)
    for part, pictures in (('train', train), ('val', val)):
        tables = _coco_tables(pictures, chosen)
        write_atomically(out / 'annotations' / f'{part}.json', json.dumps(tables) + '\n')
    # last, because whoever finds it finds all
    write_atomically(out / 'config.py', text)
    return Prepared(out, data.images, chosen, train, val, config, notes)


def _check_arguments(
    annotations: Path | None, val_annotations: Path | None, out: Path, val_share: float,
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


@contextmanager
def _written(path: str, before: Config, after: Config, out: Path) -> Iterator[str]:
    """What config.py inherits: the base, or a file that changes it; taken back if it fails."""
    file = out / 'base.py'
    kept = file.read_bytes() if file.exists() else None
    if plain(before) != plain(after):
        heading = f'{Path(path).name}, changed by tools/prepare_data.py'
        write_config(path, before, after, file, heading)
        path = str(file)
    elif not ('::' not in path and file.exists() and file.samefile(path)):
        file.unlink(missing_ok=True)
    try:
        yield path
    except BaseException:
        file.unlink(missing_ok=True)
        if kept is not None:
            write_atomically(file, kept)
        raise


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


def _checked(
    pictures: list[AnnotatedImage], folder: ImageFolder, mend: bool, source: Path,
    resizing: Resizing | None,
) -> tuple[list[AnnotatedImage], list[str]]:  # fmt: skip
    """Checked pictures and notes."""
    if not any(picture.boxes for picture in pictures):
        raise DataError(
            f'{source} has no annotation at all, for {len(pictures)} images. Export it again, '
            'with the boxes.'
        )
    return match(pictures, folder, mend, source, resizing)


def _coco_tables(pictures: list[AnnotatedImage], classes: tuple[str, ...]) -> dict:
    """A COCO annotation file: ids from 1, in the order of classes, images and boxes."""
    ids = {name: number for number, name in enumerate(classes, 1)}
    images, annotations = [], []
    for number, picture in enumerate(pictures, 1):
        width, height = picture.size
        images.append(dict(id=number, file_name=picture.names[0], width=width, height=height))
        for box in picture.boxes:
            area = box.bbox[2] * box.bbox[3] if box.area is None else box.area
            outline = dict(segmentation=list(map(list, box.outline))) if box.outline else {}
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=ids[box.category],
                    bbox=list(box.bbox),
                    area=area,
                    iscrowd=int(box.crowd),
                    **outline,
                )
            )
    categories = [dict(id=number, name=name) for name, number in ids.items()]
    return dict(images=images, annotations=annotations, categories=categories)
