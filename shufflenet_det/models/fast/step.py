"""What each way to train a unit is given, in the types of TorchScript."""
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Settings(NamedTuple):
    """What stays the same in the forward and the backward pass of a unit.

    Attributes:
        statistics: running mean and variance of each of its batch norms.
        momentum, eps: of its batch norms.
        stride: of the unit.
        shuffle: groups of its channel shuffle.
        folds: whether the first batch norm is folded into its convolution.
        fused: whether oneDNN's fused convolutions run here.
    """

    statistics: list[Tensor]
    momentum: list[float]
    eps: list[float]
    stride: int
    shuffle: int
    folds: bool
    fused: bool


class Step(NamedTuple):
    """A unit in a training step.

    Attributes:
        x: its input (N, C, H, W), channels last.
        parameters: weight, and the norm's weight and bias, of each of its convolutions.
        settings: all else.
    """

    x: Tensor
    parameters: list[Tensor]
    settings: Settings


class Gradient(NamedTuple):
    """What reaches a unit in the backward pass.

    Attributes:
        branch: the gradient of the residual branch, where its last ReLU let the value pass.
        residual: the gradient that reaches the input on the other way, whose memory is used.
        needs_x: whether the gradient of the input is needed.
    """

    branch: Tensor
    residual: Tensor | None
    needs_x: bool


class Way(NamedTuple):
    """One way to train a unit, as two functions that TorchScript compiles.

    Attributes:
        forward: from a :class:`Step` to the residual branch, with the input added at stride 1, and
            then all that ``backward`` needs.
        backward: from a :class:`Step`, what ``forward`` returned behind the first, and a
            :class:`Gradient` to the gradient of the input, or none, and those of the parameters.
    """

    forward: Callable[[Step], list[Tensor]]
    backward: Callable[[Step, list[Tensor], Gradient], tuple[Tensor | None, list[Tensor]]]
