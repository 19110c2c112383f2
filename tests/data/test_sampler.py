from itertools import islice

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.data import EpochSampler, ImageFolderDataset

import mmengine.dataset.sampler
import pytest
import torch
from mmengine.runner import Runner

from .image_files import write_folders


def sampler(size: int = 10, seed: int = 0, **options) -> EpochSampler:
    return EpochSampler(range(size), seed=seed, **options)


def indices(pairs) -> list[int]:
    return [index for index, _ in pairs]


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own() -> None:
    samples = sampler(50)
    first = list(samples)
    samples.set_epoch(1)
    second = list(samples)
    assert sorted(indices(first)) == sorted(indices(second)) == list(range(50))
    assert indices(first) != indices(second)
    assert dict(first) != dict(second)
    assert len(set(dict(first).values()) | set(dict(second).values())) == 100


def test_runs_of_neighbouring_seeds_share_no_epoch() -> None:
    one, two = sampler(50, seed=1), sampler(50, seed=0)
    two.set_epoch(1)
    assert list(one) != list(two)


def test_without_shuffling_the_order_is_that_of_the_data_set() -> None:
    assert indices(sampler(shuffle=False)) == list(range(10))


@pytest.mark.parametrize('round_up', [True, False])
def test_processes_share_the_order_of_one(monkeypatch, round_up: bool) -> None:
    """Seeds belong to samples, so more processes change nothing but who takes which."""
    alone = list(sampler(11))
    shares = []
    for rank in range(3):
        monkeypatch.setattr(mmengine.dataset.sampler, 'get_dist_info', lambda r=rank: (r, 3))
        shares.append(list(sampler(11, round_up=round_up)))
    merged = [pair for group in zip(*shares, strict=not round_up) for pair in group] if (
        round_up
    ) else [shares[i % 3][i // 3] for i in range(11)]
    assert merged[:11] == alone
    assert merged[11:] == alone[: len(merged) - 11]


@pytest.mark.parametrize('iteration', [0, 1, 3, 4, 5, 12])
def test_start_continues_the_endless_order_across_epochs(iteration: int) -> None:
    whole, late = sampler(), sampler()
    whole.start(0, 0)
    late.start(*late.locate(0, iteration, batch_size=3))
    expected = list(islice(whole, 3 * iteration, 3 * iteration + 25))
    assert list(islice(late, 25)) == expected


def test_endless_epochs_are_those_of_set_epoch() -> None:
    endless, single = sampler(), sampler()
    endless.start(0, 0)
    pairs = list(islice(endless, 30))
    for epoch in range(3):
        single.set_epoch(epoch)
        assert pairs[10 * epoch : 10 * epoch + 10] == list(single)


def test_empty_data_set_is_refused_instead_of_searched_for_ever() -> None:
    with pytest.raises(ConfigError, match='empty'):
        sampler(0).start(0, 0)


@pytest.mark.parametrize('before, after', [(1, 2), (2, 1), (3, 2), (2, 3)])
def test_other_processes_go_on_with_what_is_left_of_an_epoch(monkeypatch, before, after) -> None:
    def of_all(processes: int, place: tuple[int, int], each: int) -> list:
        shares = []
        for rank in range(processes):
            monkeypatch.setattr(
                mmengine.dataset.sampler, 'get_dist_info', lambda r=rank: (r, processes)
            )
            one = sampler(11)
            one.start(*place)
            shares.append(list(islice(one, each)))
        return [pair for row in zip(*shares, strict=True) for pair in row]

    alone = list(sampler(11))
    first = of_all(before, (0, 0), 2)
    place = sampler(11)
    place.world_size, place.num_samples = before, -(-11 // before)
    epoch, taken = place.locate(0, 1, batch_size=2)
    assert (epoch, taken) == (0, 2 * before)
    left = of_all(after, (epoch, taken), -(-(11 - taken) // after))
    assert first + left[: 11 - taken] == alone


def loader(root, workers: int, **options):
    pipeline = [
        dict(type='torchvision/RandomResizedCrop', size=16),
        dict(type='torchvision/RandomHorizontalFlip'),
        dict(type='torchvision/ColorJitter', brightness=0.5),
    ]
    return Runner.build_dataloader(
        dict(
            batch_size=4,
            num_workers=workers,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='EpochSampler'),
            dataset=dict(
                type='ImageFolderDataset', data_root=root, split='train', pipeline=pipeline
            ),
            **options,
        ),
        seed=5,
    )


def test_samples_do_not_depend_on_the_number_of_workers(tmp_path) -> None:
    write_folders(tmp_path, dict(a=5, b=5))
    alone, shared = (list(loader(str(tmp_path), workers)) for workers in (0, 2))
    assert [len(batch['labels']) for batch in alone] == [4, 4, 2]
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one['inputs'], other['inputs'])
        assert one['paths'] == other['paths'] and torch.equal(one['labels'], other['labels'])


def test_a_seeded_sample_leaves_the_generator_of_the_process_alone(tmp_path) -> None:
    crop = dict(type='torchvision/RandomResizedCrop', size=16)
    data = ImageFolderDataset(write_folders(tmp_path, dict(a=1)), 'train', pipeline=[crop])
    before = torch.get_rng_state()
    first, again, other = (data[0, seed]['inputs'] for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again) and not torch.equal(first, other)
