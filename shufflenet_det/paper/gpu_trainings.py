"""Trainings of small classifiers on one GPU: pictures in its memory, networks in stacks.

What differs from a Runner's training is where the pictures lie, the order of the random numbers,
and the precision (bfloat16 products; float32 weights, statistics and sums). One step of a stack
(:mod:`.stacked`) is compiled, captured as a CUDA graph and replayed, so that Python does not wait
for it.
"""
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.runner import set_random_seed
from torch import Tensor

from ..models.classifier import IMAGENET_MEAN, IMAGENET_STD, ImageClassifier
from .gpu_recipe import LabelledImages, Member
from .stacked import Stack

MOMENTUM = 0.9


def _normalised(pictures: Tensor, scale: Tensor, enlarge: int) -> Tensor:
    """Bytes (M, N, H, W, 3) as the network sees them: float32; ``scale`` has mean and deviation."""
    x = (pictures.float() - scale[0]) / scale[1]
    if enlarge == 1:
        return x
    models, number, height, width, _ = x.shape
    x = x.flatten(0, 1).permute(0, 3, 1, 2)
    x = F.interpolate(x, scale_factor=enlarge, mode='bilinear', align_corners=False)
    x = x.permute(0, 2, 3, 1)
    return x.reshape(models, number, height * enlarge, width * enlarge, 3)


class StackTraining:
    """The training of one stack.

    Args:
        members: what is trained; one architecture, one length, one batch size.
        build: makes the classifier of a network's name.
        pictures: on the device that trains.
        compiled: compile the step and capture it as a CUDA graph; else run it as it is.
        dtype: of features and products.
    """

    def __init__(
        self,
        members: Sequence[Member],
        build: Callable[[str], ImageClassifier],
        pictures: LabelledImages,
        compiled: bool = True,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self.members, self.recipe, self.dtype = list(members), members[0].recipe, dtype
        same = {(m.recipe.epochs, m.recipe.batch, m.recipe.enlarge) for m in members}
        if len(same) > 1:
            raise ValueError(f'members of a stack differ in epochs, batch or size: {same}')
        self.device = pictures.train.device
        models = []
        for member in members:
            set_random_seed(member.seed)
            models.append(build(member.network))
            models[-1].init_weights()
        self.stack = Stack(models).to(self.device)
        self.pictures = pictures
        self.steps = len(pictures.train) // self.recipe.batch
        self.epoch = 0
        self.curves: list[dict[str, list]] = [
            dict(epoch=[], train_loss=[], train_error=[], val_error=[])
            for _ in members
        ]
        self._allocate()
        self._graph = self._capture() if compiled else None

    # -- state

    def _allocate(self) -> None:
        stack, count, device = self.stack, len(self.members), self.device
        sizes = {name: value[0].numel() for name, value in stack.params.items()}
        self.flat = torch.cat([v.reshape(count, -1) for v in stack.params.values()], dim=1)
        self.velocity = torch.zeros_like(self.flat)
        self.mask, self.decay = torch.ones_like(self.flat), torch.zeros_like(self.flat)
        decays = torch.tensor([m.recipe.weight_decay for m in self.members], device=device)
        start, self.params = 0, {}
        for name, size in sizes.items():
            part = slice(start, start + size)
            view = self.flat[:, part].view(stack.params[name].shape)
            self.params[name] = view.detach().requires_grad_()
            if name in stack.masks:
                self.mask[:, part] = stack.masks[name].reshape(count, -1)
            if name in stack.decayed:
                self.decay[:, part] = decays[:, None]
            start += size
        stack.params = self.params
        rates = [
            [m.recipe.rate(step, self.steps) for m in self.members]
            for step in range(self.steps * self.recipe.epochs)
        ]
        self.rates = torch.tensor(rates, device=device)
        self.smoothing = torch.tensor(
            [m.recipe.label_smoothing for m in self.members], device=device
        )
        images = len(self.pictures.train)
        self.order = torch.zeros(count, images, dtype=torch.int64, device=device)
        self.crops = torch.zeros(3, count, images, dtype=torch.int64, device=device)
        self.step_index = torch.zeros(1, dtype=torch.int64, device=device)
        self.totals = torch.zeros(2, count, device=device)
        padding = self.recipe.padding
        height, width = self.pictures.train.shape[1:3]
        self.padded = torch.empty(
            images, height + 2 * padding, width + 2 * padding, 3, dtype=torch.uint8, device=device
        )
        self.scale = torch.tensor((IMAGENET_MEAN, IMAGENET_STD), device=device)
        self.padded[:] = self.scale[0].round().to(torch.uint8)
        self.padded[:, padding : padding + height, padding : padding + width] = self.pictures.train
        self.batch_rows = torch.arange(self.recipe.batch, device=device)
        self.pixels = torch.arange(height, device=device), torch.arange(width, device=device)

    def _shuffle(self, epoch: int) -> None:
        """Order, crops and flips of an epoch, for each member by its own seed."""
        images = self.order.shape[1]
        for row, member in enumerate(self.members):
            generator = torch.Generator(self.device).manual_seed(member.seed * 100003 + epoch)
            self.order[row] = torch.randperm(images, generator=generator, device=self.device)
            for part, limit in enumerate((2 * self.recipe.padding + 1,) * 2 + (2,)):
                self.crops[part, row] = torch.randint(
                    limit, (images,), generator=generator, device=self.device
                )

    # -- one step

    def _losses(self, index: Tensor, crops: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (M,), numbers of right answers (M,), and new running statistics."""
        rows, columns = self.pixels
        top, left, flip = crops[..., None]
        columns = torch.where(flip == 1, len(columns) - 1 - columns, columns)
        pictures = self.padded[
            index[:, :, None, None], (top + rows)[..., None], (left + columns)[:, :, None]
        ]
        images = _normalised(pictures, self.scale, self.recipe.enlarge)
        logits, stats = self.stack.forward(
            self.params, self.stack.stats, images, training=True, dtype=self.dtype
        )
        labels = self.pictures.train_labels[index]
        log_p = logits.log_softmax(dim=-1)
        of_label = log_p.gather(-1, labels[..., None])[..., 0].mean(dim=1)
        losses = -(1 - self.smoothing) * of_label - self.smoothing * log_p.mean(dim=(1, 2))
        right = (logits.argmax(dim=-1) == labels).sum(dim=1)
        return losses, right, [stats[name] for name in self.stack.stats]

    def _update(self, gradient: Tensor, rate: Tensor) -> None:
        gradient = gradient * self.mask + self.decay * self.flat
        velocity = MOMENTUM * self.velocity + gradient
        self.velocity.copy_(velocity)
        self.flat.sub_(rate * (gradient + MOMENTUM * velocity))

    def _step(self) -> None:
        step = self.step_index % self.steps
        rows = step * self.recipe.batch + self.batch_rows
        losses, right, stats = self._losses_fn(self.order[:, rows], self.crops[:, :, rows])
        gradients = torch.autograd.grad(losses.sum(), list(self.params.values()))
        with torch.no_grad():
            flat = torch.cat([g.reshape(len(self.members), -1) for g in gradients], dim=1)
            self._update_fn(flat, self.rates[self.step_index].T)
            torch._foreach_copy_(list(self.stack.stats.values()), stats)
            self.totals += torch.stack((losses, right))
            self.step_index += 1

    _losses_fn, _update_fn = _losses, _update

    def _capture(self) -> torch.cuda.CUDAGraph:
        self._losses_fn = torch.compile(self._losses, dynamic=False, fullgraph=True)
        self._update_fn = torch.compile(self._update, dynamic=False, fullgraph=True)
        state = (self.flat, self.velocity, self.totals, self.step_index, *self.stack.stats.values())
        kept = [value.clone() for value in state]
        self._shuffle(0)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        for value, before in zip(state, kept, strict=True):
            value.copy_(before)
        return graph

    # -- the training

    def run_epoch(self) -> None:
        """Train one epoch and add its figures to the curves."""
        self._shuffle(self.epoch)
        self.totals.zero_()
        for _ in range(self.steps):
            if self._graph is None:
                self._step()
            else:
                self._graph.replay()
        self.epoch += 1
        losses, right = (self.totals / self.steps).tolist()
        for curve, loss, correct in zip(self.curves, losses, right, strict=True):
            curve['epoch'].append(self.epoch)
            curve['train_loss'].append(round(loss, 4))
            curve['train_error'].append(round(100 * (1 - correct / self.recipe.batch), 2))
            curve['val_error'].append(None)

    def validate(self) -> None:
        """Add the validation errors to the curves."""
        errors = self.errors(self.pictures.val, self.pictures.val_labels)
        for curve, (top1, _) in zip(self.curves, errors, strict=True):
            curve['val_error'][-1] = round(top1, 2)

    @torch.no_grad()
    def errors(self, pictures: Tensor, labels: Tensor, batch: int = 500) -> list[tuple]:
        """Top-1 and top-5 error in percent of each member on pictures as they are."""
        found = torch.zeros(2, len(self.members), device=self.device)
        for start in range(0, len(pictures), batch):
            part = pictures[start : start + batch].expand(len(self.members), -1, -1, -1, -1)
            images = _normalised(part, self.scale, self.recipe.enlarge)
            logits, _ = self.stack.forward(
                self.params, self.stack.stats, images, training=False, dtype=self.dtype
            )
            hits = logits.topk(5).indices == labels[start : start + batch, None]
            found += torch.stack((hits[..., 0].sum(1), hits.any(-1).sum(1)))
        return [tuple(100 * (1 - n / len(pictures)) for n in pair) for pair in found.T.tolist()]

    def save(self, path: Path) -> None:
        """Write all that :meth:`resume` needs."""
        state = dict(
            members=[asdict(m) for m in self.members],
            epoch=self.epoch, curves=self.curves, flat=self.flat, velocity=self.velocity,
            stats=self.stack.stats, step_index=self.step_index,
        )  # fmt: skip
        torch.save(state, path.with_suffix('.part'))
        path.with_suffix('.part').replace(path)

    def resume(self, path: Path) -> None:
        """Go on where :meth:`save` was called, if the members are the same."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state['members'] != [asdict(m) for m in self.members]:
            raise ValueError(f'{path} is of other networks, seeds or recipes: delete it.')
        self.epoch, self.curves = state['epoch'], state['curves']
        for name in ('flat', 'velocity', 'step_index'):
            getattr(self, name).copy_(state[name])
        for name, value in self.stack.stats.items():
            value.copy_(state['stats'][name])


def train_stack(
    training: StackTraining, folder: Path, every: int = 5, say: Callable[[str], None] = print
) -> list[dict]:
    """Train to the end, and return for each member fields of a :class:`.records.Record`.

    Args:
        training: new, or resumed.
        folder: for ``state.pth``, from which a training that was stopped goes on.
        every: epochs between validations.
        say: takes a line of progress.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / 'state.pth'
    if state.exists():
        training.resume(state)
    start, first, epochs = time.monotonic(), training.epoch, training.recipe.epochs
    while training.epoch < epochs:
        training.run_epoch()
        if training.epoch % every == 0 or training.epoch == epochs:
            training.validate()
            training.save(state)
            passed = time.monotonic() - start
            done = training.epoch - first
            images = done * training.steps * training.recipe.batch * len(training.members)
            latest = ', '.join(
                f'{m.network} {m.seed}: {c["train_error"][-1]:.1f}/{c["val_error"][-1]:.1f}'
                for m, c in zip(training.members, training.curves, strict=True)
            )
            say(
                f'epoch {training.epoch}/{epochs}, {images / passed:.0f} images/s, about '
                f'{passed / done * (epochs - training.epoch):.0f} s left; {latest}'
            )
    pictures = training.pictures
    val = training.errors(pictures.val, pictures.val_labels)
    train = training.errors(pictures.train[::5], pictures.train_labels[::5])
    return [
        dict(
            network=member.network, seed=member.seed, recipe=asdict(member.recipe),
            seconds=round(time.monotonic() - start, 1), curves=curve,
            top1_error=round(top1, 2), top5_error=round(top5, 2),
            train_top1_error=round(seen, 2),
        )  # fmt: skip
        for member, curve, (top1, top5), (seen, _) in zip(
            training.members, training.curves, val, train, strict=True
        )
    ]
