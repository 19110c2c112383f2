"""Focal losses (``csrc/common/cuda/sigmoid_focal_loss_cuda_kernel.cuh`` and its softmax twin).

Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017. mmcv has them on CUDA only.
Labels are class indices; the sigmoid loss takes any other label as background. ``weight`` holds
a factor for each class, or is empty; background counts once. (mmcv reads past its end there.)
"""

import torch
from torch import Tensor

from ._precision import widen

_TINY = torch.finfo(torch.float32).tiny


def _class_weight(weight: Tensor, target: Tensor) -> Tensor:
    """Factor of each row by its label, [N]."""
    if not weight.numel():
        return torch.ones_like(target, dtype=widen(weight).dtype)
    known = (target >= 0) & (target < len(weight))
    return torch.where(known, widen(weight)[target.clamp(0, len(weight) - 1)], 1)


def _check_labels(target: Tensor, highest: int) -> None:
    if target.numel() and int(target.max()) > highest:
        raise ValueError(f'labels go up to {highest}, but one is {int(target.max())}')


def _sigmoid_terms(input: Tensor, target: Tensor, weight: Tensor,
                   alpha: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four times [N, C]: probability of being right and of being wrong, factor, is labelled."""
    probability = widen(input).sigmoid()
    labelled = target[:, None] == torch.arange(input.shape[1], device=input.device)
    right = torch.where(labelled, probability, 1 - probability)
    # Not 1 - right, which would lose the digits of small probabilities.
    wrong = torch.where(labelled, 1 - probability, probability)
    factor = torch.where(labelled, alpha, 1.0 - alpha) * _class_weight(weight, target)[:, None]
    return right, wrong, factor, labelled


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor,
                               gamma: float, alpha: float) -> None:
    """Fill ``output`` [N, C] with the loss of every class score.

    Args:
        input: logits [N, C].
        target: labels [N], int64, at most C.
        weight: [C] or empty.
        output: output.
        gamma: exponent that quiets easy examples.
        alpha: factor of the labelled class; the others get 1 - alpha.

    Raises:
        ValueError: a label is above C.
    """
    _check_labels(target, input.shape[1])
    right, wrong, factor, _ = _sigmoid_terms(input, target, weight, alpha)
    output.copy_(-factor * wrong.pow(gamma) * right.clamp(min=_TINY).log())


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor,
                                gamma: float, alpha: float) -> None:
    """Fill ``grad_input`` [N, C] with the derivative of each loss by its logit."""
    right, wrong, factor, labelled = _sigmoid_terms(input, target, weight, alpha)
    slope = wrong.pow(gamma) * (wrong - gamma * right * right.clamp(min=_TINY).log())
    grad_input.copy_(torch.where(labelled, -slope, slope) * factor)


def softmax_focal_loss_forward(softmax: Tensor, target: Tensor, weight: Tensor, output: Tensor,
                               gamma: float, alpha: float) -> None:
    """Fill ``output`` [N] with the loss of every row.

    Args:
        softmax: probabilities [N, C].
        target: labels [N], int64, below C; the loss of negative ones is zero.
        weight: [C] or empty.
        output: output.
        gamma: exponent that quiets easy examples.
        alpha: factor of all losses.

    Raises:
        ValueError: a label is C or above.
    """
    _check_labels(target, softmax.shape[1] - 1)
    right = widen(softmax).gather(1, target.clamp(min=0)[:, None])[:, 0]
    loss = -alpha * (1 - right).pow(gamma) * right.clamp(min=_TINY).log()
    output.copy_(torch.where(target >= 0, loss, 0) * _class_weight(weight, target))


def softmax_focal_loss_backward(softmax: Tensor, target: Tensor, weight: Tensor, buff: Tensor,
                                grad_input: Tensor, gamma: float, alpha: float) -> None:
    """Fill ``grad_input`` [N, C] with the derivative of each row's loss by its logits.

    ``buff`` [N] receives the derivative by the logarithm of the labelled class's probability.
    """
    probability = widen(softmax)
    right = probability.gather(1, target.clamp(min=0)[:, None])
    log_slope = gamma * (1 - right).pow(gamma - 1) * right * right.clamp(min=_TINY).log()
    slope = (alpha * (log_slope - (1 - right).pow(gamma)))[:, 0]
    slope = torch.where(target >= 0, slope, 0) * _class_weight(weight, target)
    buff.copy_(slope)
    labelled = target[:, None] == torch.arange(softmax.shape[1], device=softmax.device)
    grad_input.copy_(slope[:, None] * (labelled.to(probability) - probability))


OPERATORS = {
    'sigmoid_focal_loss_forward': sigmoid_focal_loss_forward,
    'sigmoid_focal_loss_backward': sigmoid_focal_loss_backward,
    'softmax_focal_loss_forward': softmax_focal_loss_forward,
    'softmax_focal_loss_backward': softmax_focal_loss_backward,
}
