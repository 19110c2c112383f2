"""Turns, spreads, ratios and peak memory, on cases that can be worked out by hand."""
from shufflenet_det.benchmark import timing
from shufflenet_det.benchmark.memory import peak_memory
from shufflenet_det.benchmark.speed import Setting, attempt, baselines
from shufflenet_det.benchmark.timing import RANGE, speedup, spread, take_turns, timed
from shufflenet_det.common.errors import ConfigError

import pytest
import torch

MEBI = 2**20


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A clock that stands still unless a side moves it on."""
    now = [0.0]
    monkeypatch.setattr(timing.time, 'perf_counter', lambda: now[0])
    return now


def test_sides_take_turns_after_the_warm_up(clock):
    order = []

    def side(name: str, seconds: float):
        def run() -> None:
            order.append(name)
            clock[0] += seconds
        return run

    sides = {name: side(name, seconds) for name, seconds in dict(a=1, b=2, c=4).items()}
    times = take_turns(sides, rounds=3, warmup=2)
    assert ''.join(order) == 'aabbcc' + 3 * 'abc'
    assert times == dict(a=[1] * 3, b=[2] * 3, c=[4] * 3)


def test_short_calls_are_repeated_within_a_turn(clock):
    calls = []

    def run() -> None:
        calls.append(None)
        clock[0] += timing.SHORTEST_TURN / 4

    (times,) = take_turns(dict(a=run), rounds=2, warmup=1).values()
    assert len(calls) == 1 + 2 * 4
    assert times == pytest.approx([timing.SHORTEST_TURN / 4] * 2)


def test_ratios_are_of_the_same_round():
    # the machine was half as fast in the second round: the ratio does not change
    assert speedup([1, 2, 1], [3, 6, 3]) == [3, 3, 3]
    row = timed([1, 2, 4], ratio=[2, 2, 2])
    assert (row['median'], row['low'], row['high']) == (2, 1.5, 3)
    assert (row['ratio'], row['ratio_low'], row['ratio_high']) == (1, 0.75, 1.5)
    assert spread([1, 2, 4], 'all', RANGE) == dict(all=2, all_low=1, all_high=4)
    times = [1, 2]
    assert 'ratio' not in timed(times, ratio=times) and 'ratio' not in timed(times, ratio=None)


def test_each_side_is_compared_with_its_twin_or_with_the_first():
    twins = dict(first=None, ours='peer', other='absent', peer=None)
    assert baselines(twins, None) == dict(first='first', ours='peer', other='first', peer='peer')
    assert set(baselines(twins, 'ours').values()) == {'ours'}
    with pytest.raises(ConfigError, match="--baseline 'per' is not among .* mean peer?"):
        baselines(twins, 'per')


@pytest.mark.parametrize('keeps', [False, True])
def test_peak_memory_of_a_step(keeps):
    weight = torch.rand(512, 512, requires_grad=True)
    images = torch.rand(512, 512)

    def step() -> None:
        product = images @ weight
        activation = product.relu()
        loss = activation.sum()
        if not keeps:
            del activation
        loss.backward()

    # when the gradient of the weight is made, the product and its gradient are there, and the
    # activation, which autograd keeps for the relu alone, if someone else keeps it
    assert peak_memory(step) == pytest.approx((4 if keeps else 3) * MEBI, abs=1000)
    assert weight.grad is not None


def test_peak_memory_counts_what_is_alive_at_one_time():
    kept = [torch.zeros(MEBI)]

    def run() -> None:
        kept.clear()
        for size in (1, 3, 2):
            torch.empty(size * MEBI, dtype=torch.uint8)
        kept.append(torch.empty(MEBI, dtype=torch.uint8))

    # what was there before does not count, and neither does what is gone
    assert peak_memory(run) == 3 * MEBI


def test_failures_name_side_and_setting():
    setting = Setting(2, (8, 16), 1, 'fp32', 'cpu')

    def fail() -> None:
        raise RuntimeError('too small\nmore')

    message = 'a does not run at batch 2, 8x16, 1 thread, fp32, cpu: RuntimeError: too small Try'
    with pytest.raises(ConfigError, match=message):
        attempt('a', setting, fail)


def test_settings_put_the_number_of_threads_back():
    before = torch.get_num_threads()
    with Setting(1, (8, 8), 2, 'bf16', 'cpu').applied():
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
