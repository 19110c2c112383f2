"""Images as the new backbone's weights expect them, and settings that were the old backbone's."""
import copy

from mmengine.config import Config, ConfigDict

from .channels import type_name
from .levels import SwapError

# gives each layer of a ConvNeXt, BEiT or MAE a learning rate of its own
_LAYERWISE = 'LearningRateDecayOptimizerConstructor'
# settings of a model that name a second network: teachers of distillation, and re-identification
_OTHER_NETWORKS = ('teacher_config', 'teacher_backbone', 'reid')
_LAYERWISE_SETTINGS = ('decay_rate', 'decay_type', 'num_layers')


def set_preprocessing(model: ConfigDict, detector: ConfigDict, settings: dict) -> None:
    """Give every preprocessor of a model the mean, standard deviation and order of channels.

    Args:
        model: config of the whole model, changed in place.
        detector: the part of it that holds the backbone.
        settings: ``mean``, ``std`` and ``bgr_to_rgb`` of a ``DetDataPreprocessor``.

    Raises:
        SwapError: another trained network of the model would get these pixels, too.
    """
    before = copy.deepcopy(model.get('data_preprocessor'))
    for owner in (model, detector):
        preprocessor = owner.get('data_preprocessor')
        while preprocessor is not None:
            # one around another, as semi-supervised training has it, holds no values of its own
            inner = preprocessor.get('data_preprocessor')
            if inner is None:
                _set(preprocessor, settings)
            preprocessor = inner
    if not model.get('data_preprocessor'):
        model.data_preprocessor = dict(type='DetDataPreprocessor', **settings)
    others = [key for key in _OTHER_NETWORKS if model.get(key)]
    if others and model.data_preprocessor != before:
        raise SwapError(
            f'{type_name(model)} has another trained network ({others[0]}), which gets the same '
            f'pixels: it needs them as they are, the new backbone needs mean={settings["mean"]}, '
            f'std={settings["std"]}, bgr_to_rgb={settings["bgr_to_rgb"]}.'
        )


def _set(preprocessor: ConfigDict, settings: dict) -> None:
    # classifiers and re-identification have other names for the same
    flip = 'to_rgb' if type_name(preprocessor) == 'ReIDDataPreprocessor' else 'bgr_to_rgb'
    preprocessor.mean = settings['mean']
    preprocessor.std = settings['std']
    preprocessor[flip] = settings['bgr_to_rgb']
    if preprocessor.get('rgb_to_bgr'):
        preprocessor.rgb_to_bgr = False


def drop_old_weights(cfg: Config, model: ConfigDict, detector: ConfigDict) -> None:
    """Take out what loads weights of the old network: they would not fit, or fit in part."""
    if cfg.get('load_from'):
        cfg.load_from = None
    for owner in (model, detector):
        for key in ('init_cfg', 'pretrained'):
            if owner.get(key):
                owner[key] = None


def drop_old_optimisation(cfg: Config, names: list[str]) -> None:
    """Take out what the optimiser had for layers of the old backbone only.

    Args:
        cfg: the config, changed in place.
        names: parameters of the new backbone, as in ``named_parameters``.
    """
    wrapper = cfg.get('optim_wrapper') or {}
    paramwise = wrapper.get('paramwise_cfg') or {}
    if str(wrapper.get('constructor', '')).rsplit('.', 1)[-1] == _LAYERWISE:
        del wrapper['constructor']
        for key in _LAYERWISE_SETTINGS:
            paramwise.pop(key, None)
        if not paramwise:
            wrapper.pop('paramwise_cfg', None)
    names = [f'backbone.{name}' for name in names]
    for key in list(paramwise.get('custom_keys') or {}):
        if key.startswith('backbone.') and not any(key in name for name in names):
            del paramwise.custom_keys[key]


def import_package(cfg: Config) -> None:
    """Have the config import this package, and no longer what only the old backbone needed."""
    previous = cfg.get('custom_imports') or {}
    imports = previous.get('imports') or []
    imports = [imports] if isinstance(imports, str) else list(imports)
    if not _mentions(cfg.to_dict(), 'mmpretrain.'):
        imports = [name for name in imports if not name.startswith('mmpretrain')]
    # first: it provides mmcv's operators, which others import
    imports = ['shufflenet_det', *(name for name in imports if name != 'shufflenet_det')]
    cfg.custom_imports = dict(imports=imports, allow_failed_imports=False)


def _mentions(node: object, prefix: str) -> bool:
    """Whether a ``type`` anywhere in a config starts with a prefix."""
    if isinstance(node, dict):
        kind = node.get('type')
        found = isinstance(kind, str) and kind.startswith(prefix)
        return found or any(_mentions(value, prefix) for value in node.values())
    return isinstance(node, (list, tuple)) and any(_mentions(item, prefix) for item in node)
