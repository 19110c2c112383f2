"""Multiply-adds and parameters of networks, layer by layer and part by part.

What is counted is what the paper counts: convolutions and fully connected layers, one
multiplication with its addition as one. Matrix products of attention, which the paper has none
of, count likewise; normalisation, activations, pooling, interpolation and RoIAlign do not.
"""
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
import torch.utils.flop_counter as flop_counter
from mmdet.models import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from ..common.errors import ConfigError, ShuffleNetDetError
from .classifier import ImageClassifier


@dataclass(frozen=True)
class LayerCount:
    """One module, without the modules inside it.

    Attributes:
        name: as in ``named_modules``.
        kind: class of the module.
        output_shape: of the last call's first tensor; None for a module that never ran.
        macs: multiply-adds of all calls.
        params: parameters; those shared with an earlier module count there.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    macs: int
    params: int


@dataclass(frozen=True)
class PartCount:
    """Multiply-adds and parameters of a part, such as ``backbone`` or ``roi_head.bbox_head``."""

    name: str
    macs: int
    params: int


@dataclass(frozen=True)
class Complexity:
    """What a network costs at one input.

    Attributes:
        layers: all modules that ran or have parameters, in the order of ``named_modules``.
        input_shape: height and width in pixels that the network saw, after padding.
        proposals: RoIs that the second stage ran on; None for a network without.
    """

    layers: tuple[LayerCount, ...]
    input_shape: tuple[int, int]
    proposals: int | None = None

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        return sum(layer.params for layer in self.layers)

    def parts(self) -> list[PartCount]:
        """Sums over the children of the network, and of ``roi_head`` over its own children."""
        parts: dict[str, list[LayerCount]] = {}
        for layer in self.layers:
            path = layer.name.split('.')
            depth = 2 if path[0] == 'roi_head' else 1
            parts.setdefault('.'.join(path[:depth]) or 'other', []).append(layer)
        counts = [
            PartCount(name, sum(r.macs for r in rows), sum(r.params for r in rows))
            for name, rows in parts.items()
        ]
        return [count for count in counts if count.macs or count.params]


def _deform_conv2d_flops(x: list, weight: list, *args, out_shape: list, **kwargs) -> int:
    return flop_counter.conv_flop_count(x, weight, out_shape)


# PyTorch's counter knows the operators of PyTorch only
_MORE_OPERATORS = {torch.ops.torchvision.deform_conv2d: _deform_conv2d_flops}


class _WithoutComputing(TorchDispatchMode):
    """Operators with multiply-adds return zeros of the right shape, in no time.

    A count depends on shapes alone. Zeros make it independent of the random weights, too.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        counted = func.overloadpacket in flop_counter.flop_registry
        if not counted or func._schema.is_mutable:
            return func(*args, **kwargs)
        device = next(t.device for t in tree_flatten(args)[0] if isinstance(t, Tensor))
        args, kwargs = tree_map_only(Tensor, lambda t: t.to('meta'), (args, kwargs))
        return tree_map_only(
            Tensor, lambda t: torch.zeros_like(t, device=device), func(*args, **kwargs)
        )


class _Attribution:
    """Gives each multiply-add to the innermost module that was running."""

    def __init__(self, module: nn.Module, counter: flop_counter.FlopCounterMode) -> None:
        self.macs: Counter[nn.Module] = Counter()
        self.shapes: dict[nn.Module, tuple[int, ...]] = {}
        self._counter = counter
        self._counted = 0
        self._running = [module]
        for child in module.modules():
            child.register_forward_pre_hook(self._enter)
            child.register_forward_hook(self._leave)

    def charge(self) -> None:
        total = self._counter.get_total_flops() // 2
        self.macs[self._running[-1]] += total - self._counted
        self._counted = total

    def _enter(self, module: nn.Module, inputs: tuple) -> None:
        self.charge()
        self._running.append(module)

    def _leave(self, module: nn.Module, inputs: tuple, output: object) -> None:
        self.charge()
        self._running.pop()
        tensors = [t for t in tree_flatten(output)[0] if isinstance(t, Tensor)]
        if tensors:
            self.shapes[module] = tuple(tensors[0].shape)


def count_module(module: nn.Module, *inputs: object, **options: object) -> tuple[LayerCount, ...]:
    """Run ``module`` in evaluation mode without computing, and count.

    Args:
        module: any network; afterwards of no other use, as it keeps its hooks.
        inputs, options: what it is called with.
    """
    module.eval().requires_grad_(False)
    counter = flop_counter.FlopCounterMode(display=False, custom_mapping=_MORE_OPERATORS)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        # fused attention does not tell its products; made of plain ones it costs the same
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.callback(
            torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled()
        )
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(_WithoutComputing())
        stack.enter_context(counter)
        attribution = _Attribution(module, counter)
        module(*inputs, **options)
        attribution.charge()
    return tuple(_rows(module, attribution))


def _rows(module: nn.Module, attribution: _Attribution) -> Iterator[LayerCount]:
    seen: set[int] = set()
    for name, child in module.named_modules():
        own = [p for p in child.parameters(recurse=False) if id(p) not in seen]
        seen.update(map(id, own))
        macs, params = attribution.macs[child], sum(p.numel() for p in own)
        shape = attribution.shapes.get(child)
        if shape or macs or params:
            yield LayerCount(name, type(child).__name__, shape, macs, params)


def count_config(cfg: Config, shape: tuple[int, int]) -> Complexity:
    """Count the detector or classifier of a config, without a data set and without weights.

    A two-stage detector runs its second stage on ``model.test_cfg.rpn.max_per_img`` RoIs, however
    many its untrained first stage would find (of its mask head MMDetection runs the first 100).

    Args:
        cfg: a config as ``load_config`` reads it.
        shape: height and width in pixels of the image as it comes out of the test pipeline; the
            model's preprocessor pads it, as in testing.

    Raises:
        ConfigError: the model cannot be built or cannot run on this input.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    name = cfg.model.get('type')
    if min(shape) < 1:
        raise ConfigError(f'cannot count {name} at {shape[0]}x{shape[1]} pixels: use a larger one.')
    try:
        model = MODELS.build(cfg.model)
        if isinstance(model, ImageClassifier):
            return _count_classifier(model, shape)
        if isinstance(model, BaseDetector):
            return _count_detector(model, shape)
    except ShuffleNetDetError:
        raise
    except Exception as error:
        # code of MMDetection or of a user: whatever it raises, the user learns which model
        raise ConfigError(
            f'cannot count {name} at {shape[0]}x{shape[1]} pixels: {type(error).__name__}: '
            f'{error}. Try a larger --shape, or see whether the model runs at all.'
        ) from error
    raise ConfigError(f'cannot count {name}: it is neither a detector nor an ImageClassifier.')


def _count_classifier(model: ImageClassifier, shape: tuple[int, int]) -> Complexity:
    return Complexity(count_module(model, torch.zeros(1, 3, *shape)), tuple(shape))


def _count_detector(model: BaseDetector, shape: tuple[int, int]) -> Complexity:
    sample = DetDataSample(
        metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_id=0)
    )
    # looked at by detectors that share code between training and testing
    sample.gt_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
    )
    batch = dict(inputs=[torch.zeros(3, *shape, dtype=torch.uint8)], data_samples=[sample])
    batch = model.data_preprocessor(batch, training=False)
    proposals = None
    if getattr(model, 'roi_head', None) is not None:
        proposals = _fix_proposals(model, shape)
    layers = count_module(model, batch['inputs'], batch['data_samples'], mode='tensor')
    return Complexity(layers, tuple(batch['inputs'].shape[-2:]), proposals)


def _fix_proposals(model: BaseDetector, shape: tuple[int, int]) -> int:
    """Have the second stage run on as many RoIs as it sees in testing, and return the number."""
    rpn_head = getattr(model, 'rpn_head', None)
    rpn_cfg = model.test_cfg.get('rpn')
    if rpn_head is None or not (rpn_cfg or hasattr(rpn_head, 'num_proposals')):
        raise ConfigError(
            f'{type(model).__name__} takes its proposals from a file: their number, and with it '
            f'the complexity, is not in the config.'
        )
    # proposals that are learned (Sparse R-CNN) have features, which stay
    number = rpn_cfg.max_per_img if rpn_cfg else rpn_head.num_proposals
    boxes = torch.tensor([[0.0, 0.0, shape[1], shape[0]]]).repeat(number, 1)
    run = model.roi_head.forward

    def forward(features: tuple[Tensor, ...], proposals: list[InstanceData], *rest) -> tuple:
        if rpn_cfg:
            proposals = [InstanceData(labels=torch.zeros(number).long()) for _ in proposals]
        for found in proposals:
            found.bboxes = boxes
        return run(features, proposals, *rest)

    model.roi_head.forward = forward
    return number
