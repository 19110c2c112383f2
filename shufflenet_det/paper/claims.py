"""The paper's claims as experiments: which networks, which comparisons, and what counts as seen.

Each network is trained with the same recipe from several seeds on Tiny ImageNet; a claim compares
the mean errors of two of them.
"""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from mmengine.config import Config
from scipy.stats import ttest_ind

from ..common.config import load_config
from ..common.errors import ConfigError
from .figures import CLASSIFIERS


@dataclass(frozen=True)
class Claim:
    """``better`` has a lower error than ``worse``, the paper says.

    Attributes:
        about: what is compared, with the table.
        better, worse: networks, named as the configs in ``configs/imagenet`` are.
    """

    about: str
    better: str
    worse: str

    @property
    def paper(self) -> tuple[float, float]:
        """The paper's top-1 errors of the two on ImageNet, in percent."""
        return paper_error(self.better), paper_error(self.worse)


def paper_error(network: str) -> float:
    """The paper's top-1 error of a network on ImageNet, in percent."""
    errors = {
        row.config: row.error
        for rows in CLASSIFIERS.values()
        for row in rows
        if row.error is not None
    }
    return errors[f'{network}_in1k']


_SHUFFLE = [f'shufflenet-v1-{width}-g{g}' for g in (8, 3) for width in ('0.5x', '0.25x')]
# ShuffleNet's unit beside others of its cost; without groups it is the Xception-like one
_UNITS = {
    38: ('shufflenet-v1-0.5x-g4', 'resnet-like-38', 'shufflenet-v1-0.5x-g1', 'resnext-like-38'),
    13: ('shufflenet-v1-0.25x-g8', 'resnet-like-13', 'shufflenet-v1-0.25x-g1', 'resnext-like-13'),
}
# in the order of importance: what a run that is stopped early has done
CLAIMS = (
    *(Claim('channel shuffle (Table 3)', name, f'{name}-noshuffle') for name in _SHUFFLE),
    *(
        Claim(
            'more groups at 13 MFLOPs (Table 2)',
            f'shufflenet-v1-0.25x-g{groups}',
            'shufflenet-v1-0.25x-g1',
        )
        for groups in (8, 4, 3, 2)
    ),
    *(
        Claim(f'unit at {mflops} MFLOPs (Table 4)', ours, other)
        for mflops, (ours, *others) in _UNITS.items()
        for other in others
    ),
    Claim('MobileNet at 38 MFLOPs (Table 5)', 'shufflenet-v1-0.5x-g4', 'mobilenet-v1-0.25'),
)
NETWORKS = tuple(dict.fromkeys(n for claim in CLAIMS for n in (claim.better, claim.worse)))


def network_config(network: str, recipe: Path, networks: Path) -> Config:
    """The recipe's config with a network in it; whatever trains the claims starts from this.

    Args:
        network: name of the network.
        recipe: config of data and schedule, the same for all.
        networks: folder of the configs that define the networks.
    """
    cfg = load_config(str(recipe))
    path = networks / f'{network}_in1k.py'
    if not path.is_file():
        raise ConfigError(f'no network {network}: there is no {path}.')
    cfg.model.backbone = Config.fromfile(path).model.backbone
    return cfg


def verdict(better: Sequence[float], worse: Sequence[float]) -> tuple[float, float | None, str]:
    """Compare the errors of two networks over seeds, with Welch's t-test.

    Args:
        better, worse: errors in percent of the network that the paper finds better, and of the
            other; one or more of each.

    Returns:
        Difference of the means (positive: as the paper says), its p-value (two-sided), and
        ``'seen'`` or ``'opposite'`` where p is below 0.05, else ``'not seen'``. With one result
        of either there is no p-value, and the word is ``'too few seeds'``.
    """
    difference = mean(worse) - mean(better)
    if min(len(better), len(worse)) < 2:
        return difference, None, 'too few seeds'
    p_value = float(ttest_ind(better, worse, equal_var=False).pvalue)
    if not p_value < 0.05:
        return difference, p_value, 'not seen'
    return difference, p_value, 'seen' if difference > 0 else 'opposite'


def compared(errors: Mapping[str, Sequence[float]]) -> list[dict]:
    """Every claim of which both networks have results, with its verdict.

    Args:
        errors: in percent over seeds, by network; all of one kind.
    """
    found = []
    for claim in CLAIMS:
        better, worse = errors.get(claim.better, ()), errors.get(claim.worse, ())
        if not (better and worse):
            continue
        difference, p_value, word = verdict(better, worse)
        ours, other = claim.paper
        found.append(
            dict(
                about=claim.about,
                better=claim.better,
                worse=claim.worse,
                paper=round(other - ours, 1),
                difference=difference,
                p_value=p_value,
                verdict=word,
            )
        )
    return found
