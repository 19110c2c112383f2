"""An account of a load into a model: how many tensors matched, and which did not.

After :func:`install`, a load says so and fails where nothing matched, if the model has parts of
this package. Models of others are loaded as mmengine does it, unless :func:`hold_every_model` was
called, as the command line tools do.
"""
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mmengine.runner as mmengine_runner
import mmengine.runner.checkpoint as mmengine_checkpoint
import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from .checkpoint_errors import CheckpointError
from .checkpoint_reading import Origin, origin_of
from .wrapping import wrap

SHOWN = 5
after_load: list[Callable[[nn.Module, Origin], None]] = []
"""Called with each module that has been loaded, without wrappers, and with the file, if known."""
_PACKAGE = __name__.partition('.')[0]
_every_model = False
_SILENT = logging.Logger(__name__, level=logging.CRITICAL + 1)
_MISMATCH = re.compile(r'size mismatch for (\S+): copying a param with shape (?:torch\.Size\()?'
                       r'(.*?)\)? from checkpoint, the shape in current model is '
                       r'(?:torch\.Size\()?(.*?)\)?\.$', re.MULTILINE)

# a name by which a file of other code is told, and whose that is
_PUBLISHERS = {
    'first_conv.0.weight': "the paper's authors",
    'features.init_block.conv.weight': 'pytorchcv',
    'backbone.stem.0.weight': 'ZCls',
}


@dataclass(frozen=True)
class KeyReport:
    """How a state dict fits a model. ``num_batches_tracked`` is never counted as the model's.

    Attributes:
        expected: Names of the model's parameters and persistent buffers.
        missing: Of these, the names that the file lacks.
        mismatched: Name to (shape in the file, shape in the model), as text.
        unexpected: Names in the file that the model does not have.
    """

    expected: tuple[str, ...]
    missing: tuple[str, ...] = ()
    mismatched: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()

    @property
    def matched(self) -> int:
        return len(self.expected) - len(self.missing) - len(self.mismatched)

    @property
    def complete(self) -> bool:
        """Whether each tensor of the model was in the file, with its shape."""
        return self.matched == len(self.expected)

    def __str__(self) -> str:
        parts = [f'{self.matched} of {len(self.expected)} model tensors matched',
                 f'{len(self.missing)} missing' + _names(self.missing)]
        if self.mismatched:
            parts.append(f'{len(self.mismatched)} of another shape' + _names(
                [f'{key}: {file} in the file, {model} in the model'
                 for key, (file, model) in self.mismatched.items()]))
        parts.append(f'{len(self.unexpected)} unexpected' + _names(self.unexpected))
        return '; '.join(parts)


def _names(names: list[str] | tuple[str, ...]) -> str:
    more = ', ...' if len(names) > SHOWN else ''
    return f' ({", ".join(names[:SHOWN])}{more})' if names else ''


def _counts(key: str) -> bool:
    return not key.endswith('num_batches_tracked')


def _unwrap(module: nn.Module) -> nn.Module:
    """The module that mmengine loads into: without DDP and test-time augmentation around it."""
    if is_model_wrapper(module) or isinstance(module, BaseTTAModel):
        return module.module
    return module


def _model_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    tensors = mmengine_checkpoint.get_state_dict(_unwrap(module))
    return {k: v for k, v in tensors.items() if isinstance(v, torch.Tensor) and _counts(k)}


def compare_keys(model: nn.Module, state_dict: Mapping[str, Any]) -> KeyReport:
    """Compare names and shapes of a state dict with those of a model, without loading it.

    Renaming by load hooks of the model's layers is not seen here; the account that a load prints
    includes it.

    Args:
        model: Model or sub-module; wrappers such as DDP are looked through.
        state_dict: Names to tensors, as in ``checkpoint['state_dict']``.
    """
    tensors = _model_tensors(model)
    return KeyReport(
        expected=tuple(tensors),
        missing=tuple(k for k in tensors if k not in state_dict),
        mismatched={k: (str(list(_shape(state_dict[k]))), str(list(v.shape)))
                    for k, v in tensors.items()
                    if k in state_dict and _shape(state_dict[k]) != v.shape},
        unexpected=tuple(k for k in state_dict if k not in tensors and _counts(k)))


def _shape(value: Any) -> torch.Size:
    return value.shape if isinstance(value, torch.Tensor) else torch.Size([])


def hold_every_model() -> None:
    """Hold the models of others to the same rules as those with parts of this package."""
    global _every_model
    _every_model = True


def has_part_of_ours(module: nn.Module) -> bool:
    """Whether a model has a part of this package, or of a class that is derived from one."""
    return any(base.__module__.partition('.')[0] == _PACKAGE
               for kind in set(map(type, module.modules())) for base in kind.__mro__)


def needed() -> bool:
    """Whether mmengine loads a file of which nothing fits without an error."""
    try:
        mmengine_checkpoint.load_state_dict(nn.Linear(1, 1), {}, logger=_SILENT)
    except Exception:  # any error will do
        return False
    return True


def install() -> None:
    """Have mmengine account for loads. Calling it again changes nothing."""
    wrap(mmengine_checkpoint, 'load_state_dict', accounting)
    # `from mmengine.runner import load_state_dict` finds the name in the package
    mmengine_runner.load_state_dict = mmengine_checkpoint.load_state_dict


def accounting(load_state_dict: Callable) -> Callable:
    """Make ``mmengine.runner.checkpoint.load_state_dict`` say what matched.

    All of mmengine's loading into models ends there: ``load_checkpoint``, ``Runner``, the
    inferencers, ``PretrainedInit`` and the EMA hooks.

    Raises (when the wrapped function is called):
        CheckpointError: No tensor of the file fits the model, or its backbone is of another width.
    """
    def load_and_report(module: nn.Module, state_dict: Mapping[str, Any], strict: bool = False,
                        logger: Any = None) -> None:
        held = _every_model or has_part_of_ours(module)
        expected = tuple(_model_tensors(module)) if held else ()
        if not expected:
            return load_state_dict(module, state_dict, strict, logger)
        seen: list[list[str]] = []

        def keep(_state, _prefix, _meta, _strict, missing, unexpected, errors):
            # the lists that the whole load appends to: layers may rename keys or reshape tensors
            # on the way, so that names compared beforehand would count wrongly
            seen.extend([missing, unexpected, errors])

        handle = _unwrap(module)._register_load_state_dict_pre_hook(keep)
        try:
            # in place of mmengine's own list of all names there is the account
            load_state_dict(module, state_dict, strict, _SILENT)
        finally:
            handle.remove()
        report = (_report(expected, *seen) if seen else compare_keys(module, state_dict))
        origin = origin_of(state_dict)
        source = f'checkpoint {origin.name}' if origin else 'a state dict'
        if report.matched == 0:
            raise CheckpointError(nothing_matched(report, state_dict, source))
        if misfits := _body_mismatches(_unwrap(module), report):
            raise CheckpointError(other_width(misfits, source))
        print_log(f'Loaded {source}: {report}', logger=logger or 'current',
                  level=logging.INFO if report.complete else logging.WARNING)
        for check in after_load if origin else ():
            check(_unwrap(module), origin)

    return load_and_report


def _report(expected: tuple[str, ...], missing: list[str], unexpected: list[str],
            errors: list[str]) -> KeyReport:
    known = set(expected)
    mismatched = {m[1]: (m[2], m[3]) for e in errors for m in _MISMATCH.finditer(e)}
    return KeyReport(
        expected=expected,
        missing=tuple(k for k in dict.fromkeys(missing) if k in known),
        mismatched={k: v for k, v in mismatched.items() if k in known},
        unexpected=tuple(k for k in dict.fromkeys(unexpected) if _counts(k)))


def _body_mismatches(module: nn.Module, report: KeyReport) -> dict[str, tuple[str, str]]:
    """Tensors of another shape where no user means them to be: heads change with the classes."""
    if hasattr(module, 'backbone'):
        return {k: v for k, v in report.mismatched.items() if k.startswith(('backbone.', 'neck.'))}
    return {} if hasattr(module, 'num_classes') else dict(report.mismatched)


def other_width(misfits: Mapping[str, tuple[str, str]], source: str) -> str:
    """The message for a file with weights of another width, other groups or another variant."""
    key, (in_file, in_model) = next(iter(misfits.items()))
    return (f'{source} is of a network with other widths than the config: the first tensor that '
            f'differs is {key}, {in_file} in the file and {in_model} in the model'
            + (f' ({len(misfits) - 1} more differ)' if len(misfits) > 1 else '')
            + '. Set the width and the groups (widen_factor, groups) that it was trained with, or '
            'give another checkpoint.')


def nothing_matched(report: KeyReport, state_dict: Mapping[str, Any], source: str) -> str:
    """The message for a file of which nothing fits, with the prefix that would mend it."""
    lines = [f'no tensor of {source} fits the model: {report}',
             f'  first names in the file:  {", ".join(list(state_dict)[:SHOWN]) or "none"}',
             f'  first names in the model: {", ".join(report.expected[:SHOWN])}']
    nested = [k for k, v in state_dict.items() if isinstance(v, Mapping)]
    if hint := foreign_hint(state_dict) or _prefix_hint(report.expected, list(state_dict)):
        lines.append('  ' + hint)
    elif nested:
        lines.append(f'  the weights may be under {nested[0]!r}: save that part as '
                     "{'state_dict': ...}")
    else:
        lines.append('  check that the checkpoint was trained with this config')
    return '\n'.join(lines)


def foreign_hint(state_dict: Mapping[str, Any]) -> str | None:
    """What to do with a publisher's own file of ShuffleNet v1, if the names are those of one."""
    inner = state_dict.get('model')
    names = [*state_dict, *(inner if isinstance(inner, Mapping) else ())]
    for first, whose in _PUBLISHERS.items():
        if any(name.endswith(first) for name in names):
            return ('Convert the file with `python tools/convert_weights.py SOURCE '
                    f'OUT.safetensors`: its names are those of {whose}.')
    return None


def _prefix_hint(model_keys: tuple[str, ...], file_keys: list[str]) -> str | None:
    if prefix := _common_prefix(file_keys, list(model_keys)):
        return (f"the names in the file start with '{prefix}': load that part with "
                f"init_cfg=dict(type='Pretrained', checkpoint=..., prefix='{prefix}')")
    if prefix := _common_prefix(list(model_keys), file_keys):
        part = prefix.rstrip('.')
        return (f"the file holds only what the model calls '{prefix}': load it there, with "
                f"init_cfg=dict(type='Pretrained', checkpoint=...) of the {part}")
    return None


def _common_prefix(longer: list[str], shorter: list[str]) -> str | None:
    """The prefix that turns most of the shorter names into longer ones, if there is one."""
    longer_set = set(longer)
    counts: dict[str, int] = {}
    for name in shorter[:SHOWN]:
        for candidate in longer:
            if candidate.endswith('.' + name):
                counts.setdefault(candidate[:-len(name)], 0)
    for prefix in counts:
        counts[prefix] = sum(prefix + name in longer_set for name in shorter)
    best = max(counts, key=lambda prefix: counts[prefix], default=None)
    # one `weight` at the end of both names is no hint
    return best if best and counts[best] * 2 >= len(shorter) else None
