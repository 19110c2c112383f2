"""Divides images into training and validation."""
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from ..common.errors import ConfigError
from .records import AnnotatedImage


def classes_in(picture: AnnotatedImage) -> set[str]:
    """Classes that an image shows; a crowd does not count."""
    return {box.category for box in picture.boxes if not box.crowd}


def split(
    pictures: Sequence[AnnotatedImage], val_share: float, seed: int
) -> tuple[list[AnnotatedImage], list[AnnotatedImage]]:
    """Images to train on, and images to validate on.

    The rarest class chooses first, as in the iterative stratification of Sechidis et al.
    (ECML PKDD 2011), so that each has its share of both parts where it can. No class loses its
    last training image.

    Args:
        pictures: all images, in an order that does not depend on the machine.
        val_share: share of the images to validate on, above 0 and below 1; at least one image.
        seed: the same seed gives the same parts.

    Raises:
        ConfigError: there is only one image, or so few that none can be spared.
    """
    total = min(max(1, round(val_share * len(pictures))), len(pictures) - 1)
    order = np.random.default_rng(seed).permutation(len(pictures)).tolist()
    showing = defaultdict(list)
    for index in order:
        for name in classes_in(pictures[index]):
            showing[name].append(index)
    count = Counter({name: len(indices) for name, indices in showing.items()})
    share = {name: max(1, round(val_share * number)) for name, number in count.items()}
    chosen: set[int] = set()
    taken: Counter = Counter()

    def spill(index: int) -> int:
        """Classes of an image that have their share already."""
        return sum(taken[name] >= share[name] for name in classes_in(pictures[index]))

    def choose(indices: Iterable[int], most: int) -> None:
        """Take up to ``most`` more, none of which is the last with one of its classes."""
        for index in indices:
            names = classes_in(pictures[index])
            if most <= 0 or len(chosen) >= total:
                return
            if index not in chosen and all(taken[name] + 1 < count[name] for name in names):
                chosen.add(index)
                taken.update(names)
                most -= 1

    for name in sorted(showing, key=lambda name: (count[name], name)):
        choose(sorted(showing[name], key=spill), share[name] - taken[name])
    negatives = [index for index in order if not classes_in(pictures[index])]
    choose(negatives, round(val_share * len(negatives)))
    choose(sorted(order, key=spill), total)
    if not chosen:
        raise ConfigError(
            f'{len(pictures)} annotated images are too few to divide: no image can be spared '
            'without a class losing its only one. Annotate more, or give --val-annotations.'
        )
    return (
        [picture for index, picture in enumerate(pictures) if index not in chosen],
        [picture for index, picture in enumerate(pictures) if index in chosen],
    )
