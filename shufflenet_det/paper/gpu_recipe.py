"""What a training on a GPU (:mod:`.gpu_trainings`) is of: recipe, networks and pictures."""
import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum, linear warm-up, cosine; crops of a padded picture, and flips.

    Attributes:
        epochs: passes over the training pictures.
        batch: pictures a step of each network.
        lr: peak learning rate.
        warmup_epochs: length of the warm-up.
        weight_decay: of convolutions and linear layers, not of norms and biases.
        label_smoothing: share of the label that is spread over all classes.
        padding: pixels of the mean colour around a picture from which a crop of its size is cut.
        enlarge: factor by which the network sees pictures enlarged (bilinear).
    """

    epochs: int
    batch: int = 256
    lr: float = 0.2
    warmup_epochs: float = 2
    weight_decay: float = 4e-5
    label_smoothing: float = 0.0
    padding: int = 8
    enlarge: int = 1

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, counted from 0."""
        warmup = self.warmup_epochs * steps_per_epoch
        if step < warmup:
            return self.lr * (step + 1) / warmup
        progress = (step - warmup) / (self.epochs * steps_per_epoch - warmup)
        return self.lr * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Member:
    """One network of a stack: its name among the configs, its seed and its recipe."""

    network: str
    seed: int
    recipe: Recipe


@dataclass
class LabelledImages:
    """Decoded pictures and labels in the memory of a device.

    Attributes:
        train, val: RGB bytes (N, H, W, 3).
        train_labels, val_labels: (N,) integers.
    """

    train: Tensor
    train_labels: Tensor
    val: Tensor
    val_labels: Tensor

    def to(self, device: str) -> 'LabelledImages':
        """The same on a device."""
        parts = (self.train, self.train_labels, self.val, self.val_labels)
        return LabelledImages(*(part.to(device) for part in parts))
