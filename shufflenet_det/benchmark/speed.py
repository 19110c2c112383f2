"""What the benchmarks of backbones and of detectors share: their sides, settings and baselines."""
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from typing import Protocol

import torch
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn

from ..common.config import suggest
from ..common.errors import ConfigError
from ..models import switch_to_deploy
from .machine import DTYPES, threads

Key = tuple[str, str]
"""Name of a side and its mode: ``'forward'``, ``'deploy'`` or ``'train'``."""
FORWARD, DEPLOY, TRAIN = MODES = ('forward', 'deploy', 'train')
Size = tuple[int, int]
"""Height and width in pixels."""


class Side(Protocol):
    """One side of a comparison; each model that it builds has the same weights.

    Attributes:
        name: of the side.
        ours: whether its deploy form is that of this package, or mmcv's.
        twin: name of the same network of another library, where there can be one.
        note: what the figures include, where that is not obvious.
        step_macs: multiply-adds of a training step in forward passes, where they are known.
    """

    name: str
    ours = False
    twin: str | None = None
    note: str | None = None
    step_macs: int | None = None

    def build(self, size: Size | None = None) -> nn.Module:
        """The model for images of this size."""

    def finish(self, model: nn.Module, size: Size | None) -> nn.Module:
        """Prepare a model, also one in its form for inference, for measurements."""
        return model

    def form(self, mode: str, size: Size | None = None, device: str = 'cpu') -> nn.Module:
        """The model as it runs in a mode: for inference ours by ``switch_to_deploy``, others with
        batch norms folded by mmcv. That form may depend on the device."""
        model = self.build(size).to(device).train(mode == TRAIN)
        if mode == DEPLOY:
            model = switch_to_deploy(model) if self.ours else fuse_conv_bn(model)
        return self.finish(model, size)

    def batch(self, size: Size, count: int, device: str) -> object:
        """Random images, with objects for a detector, for :meth:`predict` and :meth:`loss`."""

    def predict(self, model: Callable, batch: object) -> object:
        """The output of a network, or the number of detections."""

    def loss(self, model: Callable, batch: object) -> Tensor:
        """What a training step differentiates."""

    def count(self, size: Size) -> int | None:
        """Multiply-adds of an image; None where they cannot be counted."""

    def figures(self, mode: str, output: object, expected: object) -> dict:
        """What a row has beside time and memory, from the output of :meth:`predict`, None in
        training, and that of the baseline's forward pass, if it was measured."""


@dataclass(frozen=True)
class Setting:
    """Under what the sides are compared.

    Attributes:
        batch: images.
        size: height and width in pixels.
        threads: of PyTorch's operators on a CPU.
        dtype: ``'fp32'``, or ``'bf16'`` for autocast.
        device: ``'cpu'`` or ``'cuda'``.
    """

    batch: int
    size: Size
    threads: int
    dtype: str
    device: str

    def __str__(self) -> str:
        plural = 's' if self.threads > 1 else ''
        return (
            f'batch {self.batch}, {self.size[0]}x{self.size[1]}, {self.threads} thread{plural}, '
            f'{self.dtype}, {self.device}'
        )

    def row(self) -> dict:
        """The columns of a table."""
        return asdict(self) | dict(size=f'{self.size[0]}x{self.size[1]}')

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Run on this many threads, and the same convolutions at each call on a GPU."""
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        try:
            with threads(self.threads):
                yield
        finally:
            torch.backends.cudnn.benchmark = before

    def autocast(self) -> torch.autocast:
        """The context of the forward pass."""
        return torch.autocast(self.device, DTYPES[self.dtype], enabled=self.dtype != 'fp32')


def all_settings(*axes: Sequence, device: str) -> list[Setting]:
    """Every combination of batches, sizes, numbers of threads and dtypes, once."""
    return [Setting(*values, device) for values in product(*map(dict.fromkeys, axes))]


def baselines(twins: Mapping[str, str | None], baseline: str | None) -> dict[str, str]:
    """With which side each is compared.

    Args:
        twins: by the name of a side, the name of the same network of another library.
        baseline: the side with which to compare all; by default the twin, where it is one of the
            sides, and else the first side.

    Raises:
        ConfigError: the baseline is not among the sides.
    """
    if baseline is None:
        own = {name: twin for name, twin in twins.items() if twin in twins}
        first = next(iter(twins))
        return {n: own.get(n) or (n if n in own.values() else first) for n in twins}
    if baseline not in twins:
        raise ConfigError(
            f'--baseline {baseline!r} is not among the sides: {", ".join(twins)}.'
            + suggest(baseline, twins)
        )
    return dict.fromkeys(twins, baseline)


def attempt(name: str, setting: Setting, run: Callable[[], object]) -> object:
    """Call a side once.

    Raises:
        ConfigError: it fails, as networks do on images that are too small.
    """
    try:
        return run()
    except Exception as error:
        # code of other packages: whatever it raises, the user learns which side
        raise ConfigError(
            f'{name} does not run at {setting}: {type(error).__name__}: '
            f'{str(error).splitlines()[0] if str(error) else ""} Try a larger --size, or leave '
            f'it out.'
        ) from error
