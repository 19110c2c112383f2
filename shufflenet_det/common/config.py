"""Reading configs for the command line tools, with unknown options refused."""
import inspect
import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

import mmdet.registry
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from .errors import ConfigError
from .model_zoo import remembered

CONFIGS = Path(__file__).resolve().parents[1] / '.mim' / 'configs'
"""Where the installed package has its configs; in an editable installation, a link to them."""

# read by MMEngine's Runner and the tools through `cfg.get`, not by the Runner's constructor
_RUNNER_KEYS = {
    'compile',
    'custom_imports',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
_RUNNER_KEYS |= set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
# of a typed dict, read before its class is built
_READ_BEFORE = {
    'hook': {'priority'},
    'optim_wrapper': {'constructor', 'paramwise_cfg'},
    'parameter_scheduler': {'convert_to_iter_based'},
}
# of dicts without a type, by their place in the config
_DATALOADER_KEYS = set(inspect.signature(DataLoader.__init__).parameters) | {'num_batch_per_epoch'}
_UNTYPED = {
    'auto_scale_lr': {'base_batch_size', 'enable'},
    'randomness': {'deterministic', 'diff_rank_seed', 'seed'},
    **{f'{split}_dataloader': _DATALOADER_KEYS for split in ('train', 'val', 'test')},
}
# of a model's config: other networks than the one that is trained
_OTHER_NETWORKS = ('teacher_config', 'teacher_backbone', 'reid')
# variables of our config files, which are read before any option is
_VARIABLES = {
    'data_root': 'COCO_DATA_ROOT',
    'sample_root': 'SAMPLE_DATA_ROOT',
    'pretrained': 'SHUFFLENET_PRETRAINED',
    'start': 'SHUFFLENET_PRETRAINED',
    'widths': 'SHUFFLENET_PRETRAINED',
}


def require_configs() -> Path:
    """The folder of the package's configs.

    Raises:
        ConfigError: it is missing, because the package was not installed.
    """
    if not CONFIGS.is_dir():
        raise ConfigError(
            f'the configs of the package are not found in {CONFIGS}: it was not installed. Run '
            f'`pip install -e .` in its checkout.'
        )
    return CONFIGS


def _empty_variable(error: Exception) -> str:
    """The remedy where MMEngine could not read an environment variable because it is empty."""
    for name, value in os.environ.items():
        if not value and isinstance(error, KeyError) and f'`{name}`' in str(error):
            return f'the environment variable {name} is set, but empty. Unset it: unset {name}'
    return ''


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config and merge the options of ``--cfg-options`` into it.

    Args:
        path: a file, or a name such as ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``.
        options: values by dotted key, as MMEngine's ``DictAction`` parses them.

    Raises:
        ConfigError: the file is missing or is no config, or an option names nothing that the
            config, or the class it configures, knows.
    """
    if '::' not in path and not Path(path).is_file():
        near = sorted(Path(path).parent.glob('*.py')) if Path(path).parent.is_dir() else []
        raise ConfigError(
            f'config file not found: {path}.' + suggest(Path(path).name, [p.name for p in near])
        )
    try:
        with remembered():
            cfg = get_config(path) if '::' in path else Config.fromfile(path)
    except Exception as error:
        reason = _empty_variable(error) or f'{type(error).__name__}: {error}'
        raise ConfigError(f'cannot read config {path}: {reason}') from None
    if 'model' not in cfg:
        raise ConfigError(f'{path} is not the config of a model: it sets no `model`.')
    if not isinstance(cfg.model, Mapping):
        raise ConfigError(f'{path} is not the config of a model: its `model` is {cfg.model!r}.')
    if options:
        original = cfg.copy()
        try:
            cfg.merge_from_dict(options)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ConfigError(f'cannot merge --cfg-options into {path}: {error}') from None
        for key in options:
            _check_option(key, original, cfg)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataloader = cfg.get(key)
        if dataloader is not None and not isinstance(dataloader, Mapping):
            raise ConfigError(f'{path}: {key} is {dataloader!r}: give a dict with a dataset.')
        _mend_workers(dataloader)
        _check_classes(dataloader, path)
    return cfg


def _mend_workers(dataloader: Mapping | None) -> None:
    """Without processes that read images there is nothing that could persist or prefetch."""
    if dataloader and dataloader.get('num_workers') == 0:
        dataloader['persistent_workers'] = False
        dataloader.pop('prefetch_factor', None)


def _check_classes(node: object, path: str) -> None:
    """Refuse classes that are no list of names, wherever a data set stands in a config.

    Raises:
        ConfigError: ``('mug')``, which is text, or a set, which has no order.
    """
    if isinstance(node, (list, tuple)):
        for item in node:
            _check_classes(item, path)
    if not isinstance(node, Mapping):
        return
    for key in ('dataset', 'datasets'):
        _check_classes(node.get(key), path)
    metainfo = node.get('metainfo') or {}
    if not isinstance(metainfo, Mapping):
        raise ConfigError(f'{path}: metainfo is {metainfo!r}: give a dict, such as of classes.')
    classes = metainfo.get('classes')
    # MMEngine takes text for a file with a name a line
    if isinstance(classes, str) and not Path(classes).is_file():
        raise ConfigError(
            f'{path}: classes = {classes!r} is text, of which each letter would be a class: a '
            f'comma is missing. Write classes = ({classes!r},), and a comma between two names.'
        )
    if isinstance(classes, (set, frozenset)):
        raise ConfigError(
            f'{path}: classes are a set, which has another order in each run. Write '
            f'classes = {tuple(sorted(classes))!r}.'
        )
    if classes is None or isinstance(classes, str):
        return
    names = classes if isinstance(classes, (list, tuple)) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f'{path}: classes = {classes!r}: give names, one at least, as text.')


def innermost_dataset(dataloader: Mapping | None) -> Mapping:
    """The config of the data set of a dataloader, inside of all that wraps it; empty if none."""
    dataset = (dataloader or {}).get('dataset') or {}
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def pretrained_of(model: object) -> list[str]:
    """Files, addresses and names of the weights that parts of a model's config start from.

    Those of other networks than the one that is trained, such as teachers, are not among them.
    """
    found: list[str] = []
    if isinstance(model, Mapping):
        if model.get('type') == 'Pretrained':
            found.append(str(model.get('checkpoint')))
        parts = [part for key, part in model.items() if key not in _OTHER_NETWORKS]
    else:
        parts = list(model) if isinstance(model, (list, tuple)) else []
    for part in parts:
        found += pretrained_of(part)
    return list(dict.fromkeys(found))


def _check_option(key: str, original: Config, merged: Config) -> None:
    """Raise unless ``key`` is in the config, or is an argument of the class that it configures."""
    parts = key.split('.')
    if parts[0] in _VARIABLES:
        raise ConfigError(
            f'{key} is a variable of the config files, which are read before options are: to set '
            f'it here changes nothing. Use the environment variable {_VARIABLES[parts[0]]}, which '
            'the configs of this package read; with others set what is made of it, such as '
            'train_dataloader.dataset.data_root.'
        )
    _reject_unknown(key, parts[0], _RUNNER_KEYS)
    before, after = original, merged
    for depth, part in enumerate(parts):
        parents = '.'.join(parts[:depth])
        if isinstance(before, (list, tuple)):
            before, after = before[int(part)], after[int(part)]
            continue
        if before is None or not hasattr(before, 'keys'):
            return
        if part not in before:
            known = set(before.keys())
            if 'type' in after:
                accepted = arguments_of(after['type'])
                if accepted is not None:
                    _reject_unknown(key, part, accepted | {'type', '_delete_', '_scope_'})
            elif parents in _UNTYPED:
                _reject_unknown(key, part, known | _UNTYPED[parents])
            elif get_close_matches(part, known, 1, cutoff=0.8):
                _reject_unknown(key, part, known)
            return
        before, after = before[part], after[part]


def _reject_unknown(key: str, part: str, known: Iterable[str]) -> None:
    if part not in known:
        raise ConfigError(f'unknown config option {key}: nothing reads {part!r}.'
                          + suggest(part, known))


def suggest(name: str, known: Iterable[str]) -> str:
    """A question for the end of a message: the names that a mistyped one may have meant."""
    near = get_close_matches(name, list(known), 3)
    return f' Did you mean {" or ".join(near)}?' if near else ''


def arguments_of(type_name: str | type) -> set[str] | None:
    """Names that a registered class's constructor takes, or None where that cannot be known."""
    cls = type_name if inspect.isclass(type_name) else None
    registries = [r for r in vars(mmdet.registry).values() if isinstance(r, Registry)]
    names: set[str] = set()
    for registry in registries:
        found = registry.get(type_name) if isinstance(type_name, str) else None
        if found is not None:
            cls = found
            names |= _READ_BEFORE.get(registry.name.replace(' ', '_'), set())
    if not inspect.isclass(cls):
        return None
    for base in cls.__mro__:
        if '__init__' not in vars(base) or base is object:
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - {'self'}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names
