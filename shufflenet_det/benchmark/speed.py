"""What the benchmarks of backbones and of detectors share: settings, baselines, a row's figures."""
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product

import torch

from ..common.config import suggest
from ..common.errors import ConfigError
from .machine import DTYPES, threads
from .timing import Call, speedup, spread, take_turns, timed

Key = tuple[str, str]
"""Name of a side and its mode: ``'forward'``, ``'deploy'`` or ``'train'``."""
FORWARD, DEPLOY, TRAIN = MODES = ('forward', 'deploy', 'train')
MATMUL: Key = ('matrix product', FORWARD)
MATMUL_SIZE = {'cpu': 1024, 'cuda': 8192}
"""Rows and columns of the product that measures the machine."""
# forward, gradients of the input, gradients of the weights
STEP_MACS = 3


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
    size: tuple[int, int]
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


def all_settings(
    batches: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    numbers_of_threads: Sequence[int],
    dtypes: Sequence[str],
    device: str,
) -> list[Setting]:
    """Every combination, once."""
    combined = product(batches, sizes, numbers_of_threads, dtypes)
    return list(dict.fromkeys(Setting(*values, device) for values in combined))


def baselines(twins: Mapping[str, str | None], baseline: str | None) -> dict[str, str]:
    """With which side each is compared.

    Args:
        twins: by the name of a side, the name of the same network of another library.
        baseline: the side with which to compare all; by default the twin, where it is one of the
            sides, and else the first side.

    Raises:
        ConfigError: the baseline is not among the sides.
    """
    if baseline is not None:
        if baseline not in twins:
            raise ConfigError(
                f'--baseline {baseline!r} is not among the sides: {", ".join(twins)}.'
                + suggest(baseline, twins)
            )
        return dict.fromkeys(twins, baseline)
    first = next(iter(twins))
    own = {name: twin for name, twin in twins.items() if twin in twins}
    return {
        name: own.get(name) or (name if name in own.values() else first) for name in twins
    }


def product_run(setting: Setting) -> tuple[Call, int]:
    """A square matrix product, as the measure of the machine, and its multiply-adds."""
    size = MATMUL_SIZE[setting.device]
    a, b = (
        torch.rand(size, size, device=setting.device, dtype=DTYPES[setting.dtype])
        for _ in range(2)
    )
    return lambda: a @ b, size**3


def compare(
    sides: Mapping[Key, Call],
    setting: Setting,
    against: Mapping[str, str],
    macs: Mapping[str, int | None],
    rounds: int,
    warmup: int,
) -> dict[Key, dict]:
    """Time sides in turns, and a matrix product with them.

    Args:
        sides: calls by name and mode.
        setting: under which they run.
        against: by name, the side with which it is compared. Both modes of inference are
            compared with its plain forward pass, where that is among the sides.
        macs: by name, multiply-adds of the forward pass of the batch.
        rounds, warmup: see :func:`take_turns`.

    Returns:
        Figures by name and mode.

    Raises:
        ConfigError: a side cannot run under this setting.
    """
    for (name, _), run in sides.items():
        attempt(name, setting, run)
    product, product_macs = product_run(setting)
    times = take_turns({**sides, MATMUL: product}, rounds, warmup, setting.device)
    machine_seconds = spread(times[MATMUL]).median
    rows = {}
    for key in sides:
        name, mode = key
        base = against[name]
        plain = times.get((base, FORWARD)) if mode == DEPLOY else None
        row = timed(times[key], plain or times[base, mode])
        if macs[name] is not None:
            count = macs[name] * (STEP_MACS if mode == TRAIN else 1)
            # of the same round, as the ratio is
            row['share'] = count / product_macs * speedup(times[key], times[MATMUL]).median
            row['rate'] = count / row['median']
        rows[key] = row | dict(machine_rate=product_macs / machine_seconds)
    return rows


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
