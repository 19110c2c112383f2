"""Records of finished trainings: one line of JSON each, in files that grow.

A record has all that is needed to believe it and to draw it: what was trained, how, on what, and
the curves. Whatever trained the network, on a CPU or a GPU, writes the same fields.
"""
import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from mmengine.config import Config

from ..common.cli import write_atomically
from ..common.errors import ConfigError, DataError

# of recipes that do not say: crops of the padded image, as large as it is
_UNSAID = dict(padding=8, enlarge=1)
RECIPE = (
    'epochs', 'batch', 'lr', 'warmup_epochs', 'weight_decay', 'label_smoothing', *_UNSAID,
)  # fmt: skip
CURVES = ('epoch', 'train_loss', 'train_error', 'val_error')
_PERCENT = ('top1_error', 'top5_error', 'train_top1_error')


@dataclass(frozen=True)
class Record:
    """One finished training. Errors are in percent.

    Attributes:
        network: named as its config in ``configs/imagenet`` is, without ``_in1k``.
        seed: of initial weights, order and crops.
        data: folder name of the data set, and which part of it where that is not all.
        recipe: figures by the names in ``RECIPE``; ``padding`` in pixels around an image before it
            is cropped, ``enlarge`` the factor by which the network sees it enlarged.
        command: what repeats the run.
        device: name of the processor or GPU, with the threads used.
        precision: of the training, such as ``float32``.
        versions: of the software, by package.
        date: of the end, ISO 8601.
        seconds: of training.
        curves: lists by the names in ``CURVES``, a value an epoch. ``train_loss`` and
            ``train_error`` are means over the epoch, on augmented images while the weights
            change; ``val_error`` is None where it was not measured. In a file, ``val_error`` may
            also be shorter and have its epochs in ``val_epoch``.
        top1_error, top5_error: on the validation images, at the end.
        train_top1_error: on the training images as they are, at the end; None if not measured.
    """

    network: str
    seed: int
    data: str
    recipe: dict[str, float]
    command: str
    device: str
    precision: str
    versions: dict[str, str]
    date: str
    seconds: float
    curves: dict[str, list[float | None]]
    top1_error: float
    top5_error: float
    train_top1_error: float | None
    source: str = field(default='', compare=False)
    """File and line that it was read from, for messages."""

    @property
    def key(self) -> tuple[str, int]:
        """What there is one record of."""
        return self.network, self.seed

    @property
    def last_train_error(self) -> float:
        """In training, of the last epoch: on crops, so that it does not fall to 0 so soon."""
        return self.curves['train_error'][-1]


def recipe_of(cfg: Config) -> dict[str, float]:
    """What of a config goes into ``Record.recipe``.

    Raises:
        ConfigError: the config is that of something else.
    """
    try:
        optimizer = cfg.optim_wrapper.optimizer
        return dict(
            epochs=cfg.train_cfg.max_epochs,
            batch=cfg.train_dataloader.batch_size,
            lr=optimizer.lr,
            warmup_epochs=cfg.warmup_epochs,
            weight_decay=optimizer.weight_decay,
            label_smoothing=cfg.model.head.get('label_smoothing', 0.0),
            padding=cfg.padding,
            enlarge=cfg.get('enlarge', 1),
        )
    except AttributeError as error:
        raise ConfigError(
            f'{cfg.filename} is no recipe to compare networks with ({error}): inherit '
            'configs/tiny_imagenet/claims.py.'
        ) from None


def data_of(cfg: Config) -> str:
    """What goes into ``Record.data``: the folder name of the data set, and which part of it."""
    return cfg.get('train_data_name', cfg.data_name)


def append_record(path: Path, record: Record) -> None:
    """Add a line to a file: as a whole or not at all, whoever else writes to it.

    Raises:
        DataError: the file is damaged or has the run already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f'.{path.name}.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        present = read_records([path]) if path.is_file() else []
        for other in present:
            if other.key == record.key:
                raise DataError(f'{other.source} has {_named(record)} already.')
        content = asdict(record)
        content.pop('source')
        before = path.read_text() if present else ''
        write_atomically(path, before + json.dumps(content) + '\n')


def read_records(paths: Iterable[Path]) -> list[Record]:
    """The records of several files, each run once.

    Raises:
        DataError: a file is missing or a line damaged, or two lines differ about one run.
    """
    records: dict[tuple[str, int], Record] = {}
    for path in paths:
        for record in _read(path):
            other = records.setdefault(record.key, record)
            if other != record:
                require_one_recipe([other, record], f'two records of {_named(record)}')
                raise DataError(
                    f'{record.source} and {other.source} are two records of {_named(record)}: '
                    'delete one, or name only one of the files.'
                )
    return list(records.values())


def _named(record: Record) -> str:
    return f'{record.network}, seed {record.seed}'


def _read(path: Path) -> Iterator[Record]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'cannot read records {path}: {error}.') from None
    for number, line in enumerate(text.splitlines(), start=1):
        source = f'{path}, line {number}'
        try:
            content = _completed(json.loads(line))
            _check(content)
        except (ValueError, TypeError) as error:
            raise DataError(
                f'{source} is no record of a training: {error}. Delete the line, and the run is '
                'done again.'
            ) from None
        yield Record(**content, source=source)


def _completed(content: dict) -> dict:
    """The record with what it leaves unsaid in its recipe and its curves."""
    if not isinstance(content, dict) or not {'recipe', 'curves'} <= content.keys():
        return content
    curves = dict(content['curves'])
    if 'val_epoch' in curves:
        measured = dict(zip(curves.pop('val_epoch'), curves['val_error'], strict=True))
        curves['val_error'] = [measured.get(epoch) for epoch in curves['epoch']]
    return {**content, 'recipe': _UNSAID | content['recipe'], 'curves': curves}


def _check(content: dict) -> None:
    """Raise ValueError or TypeError unless these are the fields of a record."""
    if not isinstance(content, dict):
        raise ValueError('it is no object')
    expected = {f.name for f in fields(Record)} - {'source'}
    if content.keys() != expected:
        missing, unknown = expected - content.keys(), content.keys() - expected
        raise ValueError(f'fields missing: {sorted(missing)}, unknown: {sorted(unknown)}')
    for name, keys in (('recipe', RECIPE), ('curves', CURVES)):
        if set(content[name]) != set(keys):
            raise ValueError(f'{name} must have {", ".join(keys)}, and has {list(content[name])}')
    if len({len(values) for values in content['curves'].values()}) != 1:
        raise ValueError('its curves are not equally long')
    for name in _PERCENT:
        value = content[name]
        if not (value is None and name == 'train_top1_error') and not 0 <= value <= 100:
            raise ValueError(f'{name} is {value}, no percentage')
    if type(content['seed']) is not int:
        raise ValueError(f'seed is {content["seed"]!r}')


def require_recipe(records: Sequence[Record], recipe: Mapping[str, float], data: str) -> None:
    """Raise :class:`DataError` unless all were trained on these data in this way."""
    for record in records:
        differences = _differences(record.recipe, recipe)
        if record.data != data:
            differences.append(f'data {record.data} and {data}')
        if differences:
            raise DataError(
                f'{record.source} has {_named(record)} of another recipe than what is to be '
                f'trained: {"; ".join(differences)}. Choose another file with --records.'
            )


def _differences(one: Mapping[str, float], other: Mapping[str, float]) -> list[str]:
    return [f'{k} {one[k]:g} and {other[k]:g}' for k in RECIPE if one[k] != other[k]]


def require_one_recipe(records: Sequence[Record], what: str) -> None:
    """Raise :class:`DataError` unless all were trained on the same data in the same way.

    Args:
        records: what is to be compared.
        what: the comparison, for the message.
    """
    for other in records[1:]:
        first = records[0]
        differences = _differences(first.recipe, other.recipe)
        if first.data != other.data:
            differences.append(f'data {first.data} and {other.data}')
        if differences:
            raise DataError(
                f'{what} cannot be compared: {_named(first)} ({first.source}) and '
                f'{_named(other)} ({other.source}) were trained differently: '
                f'{"; ".join(differences)}. Keep each recipe in a file of its own, and name files '
                'of one with --records.'
            )
