"""Reading settings of a model so that none is missed: what is not known is refused by name."""
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.errors import ConfigError


def read_nms(cfg: Mapping[str, Any] | None, place: str) -> tuple[float, bool]:
    """IoU threshold of a non-maximum suppression, and whether it ignores classes."""
    if not cfg:
        raise refusal(place, 'none', "type='nms'")
    cfg = dict(cfg)
    kind = cfg.pop('type', 'nms')
    if kind != 'nms':
        raise refusal(place, f'type={kind!r}', "type='nms'")
    iou_threshold = cfg.pop('iou_threshold', None)
    if iou_threshold is None:
        raise ConfigError(f'{place} has no iou_threshold.')
    class_agnostic = cfg.pop('class_agnostic', False)
    # where many boxes are suppressed group by group; the groups are apart in any case
    cfg.pop('split_thr', None)
    refuse_rest(cfg, place)
    return float(iou_threshold), bool(class_agnostic)


def positive(value: int | None, place: str) -> int:
    """A number of 1 or more."""
    if value is None or value < 1:
        raise refusal(place, str(value), '1 or more')
    return int(value)


def refuse_rest(cfg: Mapping[str, Any], place: str) -> None:
    """Refuse settings that nobody has read."""
    if cfg:
        raise ConfigError(
            f'the export does not know {", ".join(f"{place}.{key}" for key in cfg)}: take it out '
            f'of the config, or test the detector with PyTorch.'
        )


def require_type(place: str, value: object, *types: type) -> None:
    """Refuse what is not of one of some classes, subclasses included."""
    if type(value) not in types:
        known = ' and '.join(kind.__name__ for kind in types)
        raise refusal(place, type(value).__name__, known)


def refusal(place: str, found: str, known: str) -> ConfigError:
    """An error that names a place in the model, what is there, and what is known."""
    return ConfigError(f'cannot export {place}: it is {found}, the export knows {known}.')


def same_code(value: object, reference: type, names: Sequence[str]) -> bool:
    """Whether an object has these methods of a class, or both have none of a name."""
    return _same(type(value), reference, names)


def predicts_as(detector: type, reference: type) -> bool:
    """Whether a class of detectors predicts by the code of one of MMDetection's."""
    own = ('predict', 'extract_feat')
    return issubclass(detector, reference) and _same(detector, reference, own)


def _same(kind: type, reference: type, names: Sequence[str]) -> bool:
    return all(getattr(kind, name, None) is getattr(reference, name, None) for name in names)
