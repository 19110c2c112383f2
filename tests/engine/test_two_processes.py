"""A training step in two processes on CPU, through the units that run as functions."""
import os
import socket
import subprocess
import sys
from pathlib import Path

from shufflenet_det.models import ShuffleNetV1, ShuffleUnit

import pytest
import torch
from torch import Tensor, nn

from ..conftest import ROOT

PROCESSES = 2
LEARNING_RATE = 0.1


def network(fast: bool) -> ShuffleNetV1:
    torch.manual_seed(0)
    net = ShuffleNetV1(groups=3, widen_factor=1.0, out_indices=(3,)).double().train()
    for unit in net.modules():
        if isinstance(unit, ShuffleUnit):
            unit.fast = fast
    return net


def images(rank: int) -> Tensor:
    # large enough maps for units to be trained as functions
    generator = torch.Generator().manual_seed(rank)
    return torch.randn(4, 3, 160, 160, generator=generator, dtype=torch.float64)


def loss_of(net: nn.Module, rank: int) -> Tensor:
    return net(images(rank))[0].square().mean()


def functions_of(loss: Tensor) -> set[str]:
    """Modules of the functions of this package that a loss goes back through."""
    seen, found, waiting = set(), set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            found.add(getattr(getattr(node, '_forward_cls', None), '__module__', ''))
            waiting += [following for following, _ in node.next_functions]
    return {name for name in found if name.startswith('shufflenet_det.models.')}


def step(net: nn.Module) -> None:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter -= LEARNING_RATE * parameter.grad


PROCESS = """
import sys, torch
from shufflenet_det.engine.setup import set_launcher
from mmengine.config import Config
from mmengine.registry import MODEL_WRAPPERS
from tests.engine.test_two_processes import functions_of, loss_of, network, step

rank, folder = int(sys.argv[1]), sys.argv[2]
set_launcher(cfg := Config(dict(model=dict())), 'pytorch')
net = network(fast=True)
kind = MODEL_WRAPPERS.get(cfg.model_wrapper_cfg.pop('type'))
wrapped = kind(module=net, **cfg.model_wrapper_cfg)
loss = loss_of(wrapped, rank)
functions = functions_of(loss)
loss.backward()
gradients = {name: p.grad.clone() for name, p in net.named_parameters()}
step(net)
torch.save((gradients, net.state_dict(), functions), f'{folder}/{rank}.pth')
torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[tuple]:
    """Of each process the gradients, the state after the step, and the functions."""
    folder: Path = tmp_path_factory.mktemp('processes')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    shared = dict(
        os.environ, WORLD_SIZE=str(PROCESSES), MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port),
        CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT),
    )  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', PROCESS, str(rank), str(folder)], cwd=ROOT,
            env=dict(shared, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(PROCESSES)
    ]  # fmt: skip
    for process in processes:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    return [
        torch.load(folder / f'{rank}.pth', weights_only=True)
        for rank in range(PROCESSES)
    ]


def test_both_went_through_the_functions(trained):
    for _, _, functions in trained:
        assert functions


def test_two_processes_equal_one(trained):
    """One process, layer by layer: the mean of the gradients of both halves of the batch."""
    halves = []
    for rank in range(PROCESSES):
        net = network(fast=False)
        loss = loss_of(net, rank)
        loss.backward()
        halves.append(net)
    for name, _ in halves[0].named_parameters():
        first, second = (dict(net.named_parameters())[name].grad for net in halves)
        expected = (first + second) / 2
        for gradients, _, _ in trained:
            torch.testing.assert_close(gradients[name], expected, rtol=1e-9, atol=1e-12)
    # each process counts the statistics of its own half
    for (_, state, _), net in zip(trained, halves, strict=True):
        for name, buffer in net.named_buffers():
            torch.testing.assert_close(state[name], buffer, rtol=1e-9, atol=1e-12)


def test_both_hold_the_same_network_after_the_step(trained):
    (_, first, _), (_, second, _) = trained
    names = [name for name, _ in network(fast=True).named_parameters()]
    assert all(torch.equal(first[name], second[name]) for name in names)
    assert any(not torch.equal(first[n], p) for n, p in network(fast=True).named_parameters())
