import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.models.complexity import count_config
from shufflenet_det.paper.claims import CLAIMS, NETWORKS, compared, verdict
from shufflenet_det.paper.claims_report import FILES, claims_table, networks_table, write_report
from shufflenet_det.paper.claims_training import (
    CurvesHook,
    Training,
    require_recipe_of_folder,
    training_config,
)
from shufflenet_det.paper.records import CURVES, RECIPE, Record

import pytest
import torch

from ..conftest import ROOT
from ..data.image_files import write_tiny_imagenet

RECIPE_FILE = ROOT / 'configs' / 'tiny_imagenet' / 'claims.py'
NETWORK_CONFIGS = ROOT / 'configs' / 'imagenet'
NETWORK = 'shufflenet-v1-0.25x-g3'
EPOCHS = 5
SMALL = f"""
_base_ = {str(RECIPE_FILE)!r}
data_name = 'made up'
train_cfg = dict(max_epochs={EPOCHS}, val_interval=2)
train_dataloader = dict(batch_size=8, dataset=dict(cache='CACHE'))
val_dataloader = dict(dataset=dict(cache='CACHE'))
model = dict(head=dict(num_classes=3))
"""


def record(network: str = NETWORK, seed: int = 0, error: float = 50.0) -> Record:
    curves = {name: [1.0, 2.0, 3.0] for name in CURVES} | dict(val_error=[None, 60.0, error])
    recipe = dict(zip(RECIPE, (3, 256, 0.2, 2, 4e-5, 0.0, 8, 1), strict=True))
    return Record(
        network=network, seed=seed, data='tiny-imagenet-200', recipe=recipe, command='python',
        device='cpu', precision='float32', versions=dict(torch='2.4'), date='2026-01-01',
        seconds=60.0, curves=curves, top1_error=error, top5_error=20.0, train_top1_error=None,
    )  # fmt: skip


def all_records() -> list[Record]:
    return [
        record(name, seed, 50.0 + i + seed) for i, name in enumerate(NETWORKS) for seed in range(3)
    ]


def test_verdict_is_that_of_welchs_test():
    # difference 2, variances 1 and 1 over 3 seeds: t = 2 / sqrt(2 / 3) = 2.449 with 4 degrees of
    # freedom, two-sided p = 0.0705
    difference, p_value, word = verdict([10, 11, 12], [12, 13, 14])
    assert difference == pytest.approx(2)
    assert p_value == pytest.approx(0.0705, abs=1e-4)
    assert word == 'not seen'
    assert verdict([10, 11, 12], [20, 21, 22])[2] == 'seen'
    assert verdict([20, 21, 22], [10, 11, 12])[2] == 'opposite'


def test_gain_of_one_seed_has_no_p_value():
    (found,) = compared({CLAIMS[0].better: [50.0], CLAIMS[0].worse: [51.0, 52.0]})
    assert (found['difference'], found['p_value']) == (1.5, None)
    assert found['verdict'] == 'too few seeds'
    table = claims_table([record(CLAIMS[0].better), record(CLAIMS[0].worse)])
    assert '| +0.0, too few seeds ' in table
    assert claims_table([record(CLAIMS[0].better)]) == 'No claim has both of its networks yet.'


def test_papers_figures_stand_beside_ours():
    claims = compared(dict.fromkeys(NETWORKS, (1, 2)))
    gains = {(c['better'], c['worse']): c['paper'] for c in claims}
    # that of groups and no groups at 13 MFLOPs is in two tables of the paper, with the same figures
    assert len(gains) == len(claims) - 1 == len(CLAIMS) - 1
    # Tables 3, 2, 4 and 5
    assert gains['shufflenet-v1-0.5x-g8', 'shufflenet-v1-0.5x-g8-noshuffle'] == 5.8
    assert gains['shufflenet-v1-0.25x-g8', 'shufflenet-v1-0.25x-g1'] == 4.4
    assert gains['shufflenet-v1-0.25x-g8', 'resnext-like-13'] == 12.5
    assert gains['shufflenet-v1-0.5x-g4', 'shufflenet-v1-0.5x-g1'] == 3.5
    assert gains['shufflenet-v1-0.5x-g4', 'mobilenet-v1-0.25'] == 7.8
    assert not compared({CLAIMS[0].better: [50.0]})


def test_compared_networks_differ_in_the_network_alone(tmp_path):
    configs = [
        training_config(Training(name, 0, tmp_path), RECIPE_FILE, NETWORK_CONFIGS).to_dict()
        for name in NETWORKS
    ]
    backbones = {json.dumps(c['model'].pop('backbone'), sort_keys=True) for c in configs}
    assert len(backbones) == len(NETWORKS)
    for config in configs:
        config.pop('work_dir'), config.pop('experiment_name')
        assert config == configs[0]
    with pytest.raises(ConfigError, match='no network other'):
        training_config(Training('other', 0, tmp_path), RECIPE_FILE, NETWORK_CONFIGS)


@pytest.mark.parametrize('budget', [13, 38])
def test_compared_networks_cost_alike(budget, tmp_path):
    claims = [c for c in CLAIMS if f'{budget} MFLOPs' in c.about]
    assert len(claims) == {13: 7, 38: 4}[budget]
    for name in {n for claim in claims for n in (claim.better, claim.worse)}:
        cfg = training_config(Training(name, 0, tmp_path), RECIPE_FILE, NETWORK_CONFIGS)
        cfg.model.head.num_classes = 1000
        mflops = count_config(cfg, (224, 224)).macs / 1e6
        # the paper puts the MobileNet of 41 beside its 38
        assert mflops == pytest.approx(budget, rel=0.10), name


def test_report_has_every_network_and_claim(tmp_path):
    records = all_records()
    write_report(records, tmp_path)
    content = json.loads((tmp_path / 'claims.json').read_text())
    assert len(content['claims']) == len(CLAIMS) and len(content['runs']) == len(records)
    assert claims_table(records).count('\n') == len(CLAIMS) + 1
    assert networks_table(records).count('\n') == len(NETWORKS) + 1
    cells = [c.strip() for c in networks_table(records).splitlines()[2].split('|')[1:-1]]
    assert cells == [
        NETWORKS[0], '42.3', '3.0 ± 0.0', '3.0, 3.0, 3.0', '51.0 ± 1.0', '50.0, 51.0, 52.0', '20.0',
    ]  # fmt: skip
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted(FILES)
    assert min((tmp_path / name).stat().st_size for name in FILES if name.endswith('png')) > 10000


def test_claims_are_compared_on_the_training_images_too(tmp_path):
    better, worse = CLAIMS[0].better, CLAIMS[0].worse
    curves = record().curves
    records = [
        replace(
            record(name, seed), train_top1_error=1.0,
            curves=curves | dict(train_error=[90.0, 60.0, error + seed]),
        )
        for name, error in ((better, 5.0), (worse, 25.5))
        for seed in range(3)
    ]  # fmt: skip
    write_report(records, tmp_path)
    content = json.loads((tmp_path / 'claims.json').read_text())
    (on_others,), (in_training,) = content['claims'], content['claims_in_training']
    assert on_others['difference'] == 0
    assert (in_training['difference'], in_training['verdict']) == (20.5, 'seen')
    text = (tmp_path / 'claims-tables.md').read_text()
    assert '| +20.5, seen (p = ' in text and '| +0.0, not seen' in text
    assert '| 6.0 ± 1.0               | 5.0, 6.0, 7.0    |           1.0 |' in text


def test_records_of_another_recipe_are_not_compared(tmp_path):
    records = all_records()
    longer = record(NETWORKS[1], 1)
    longer = replace(longer, recipe=longer.recipe | dict(epochs=90), source='b.jsonl, line 7')
    records = [longer if r.key == longer.key else r for r in records]
    with pytest.raises(DataError, match=r'Table 3.*b\.jsonl, line 7.*epochs 3 and 90'):
        write_report(records, tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match='none of the comparisons'):
        write_report([record('vgg16')], tmp_path)


def test_resumed_curves_are_those_before_the_checkpoint(tmp_path):
    path = tmp_path / 'curves.json'
    path.write_text(json.dumps({name: [1, 2, 3] for name in (*CURVES, 'seconds')}))
    hook = CurvesHook(path)
    hook._read(2)
    assert set(map(tuple, hook.curves.values())) == {(1, 2)}
    with pytest.raises(DataError, match='does not have the 4 epochs'):
        hook._read(4)


def test_run_goes_on_with_the_recipe_that_it_was_begun_with(tmp_path):
    begun = Training(NETWORK, 0, tmp_path)
    require_recipe_of_folder(begun, dict(epochs=40, lr=0.2))
    require_recipe_of_folder(begun, dict(epochs=40, lr=0.2))
    with pytest.raises(DataError, match=r'begun with another recipe \(epochs 40 and 60\)'):
        require_recipe_of_folder(begun, dict(epochs=60, lr=0.2))


@pytest.fixture(scope='module')
def small(tmp_path_factory) -> tuple[Path, Path]:
    """Made-up data and a recipe of seconds."""
    folder = tmp_path_factory.mktemp('tiny')
    recipe = folder / 'recipe.py'
    recipe.write_text(SMALL.replace('CACHE', str(folder / 'cache')))
    return write_tiny_imagenet(folder / 'data', train=24, val=9), recipe


def tool(small: tuple[Path, Path], work_dir: Path, *arguments: str) -> list[str]:
    data, recipe = small
    return [
        sys.executable, 'tools/claims.py', '--work-dir', str(work_dir), '--data', str(data),
        '--recipe', str(recipe), '--seeds', '0', '--jobs', '1', '--networks', NETWORK, *arguments,
    ]  # fmt: skip


def run(arguments: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope='module')
def trained(small, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('work')
    process = run(tool(small, work_dir))
    log = work_dir / NETWORK / 'seed0' / 'console.log'
    assert process.returncode == 0, process.stdout + process.stderr + log.read_text()[-2000:]
    assert '1 runs, 0 of them finished before' in process.stdout
    assert f'{NETWORK} seed 0: top-1 error' in process.stdout
    return work_dir


def weights(work_dir: Path) -> dict[str, torch.Tensor]:
    path = work_dir / NETWORK / 'seed0' / f'epoch_{EPOCHS}.pth'
    return torch.load(path, weights_only=False)['state_dict']


def test_finished_run_leaves_its_record_and_is_not_repeated(small, trained):
    (line,) = (trained / 'records.jsonl').read_text().splitlines()
    found = json.loads(line)
    assert (found['network'], found['seed'], found['data']) == (NETWORK, 0, 'made up')
    assert found['recipe'] == dict(
        epochs=EPOCHS, batch=8, lr=0.2, warmup_epochs=2, weight_decay=4e-5, label_smoothing=0.0,
        padding=8, enlarge=1,
    )  # fmt: skip
    curves = found['curves']
    assert curves['epoch'] == [1, 2, 3, 4, 5]
    assert [value is None for value in curves['val_error']] == [True, False, True, False, False]
    assert curves['val_error'][-1] == pytest.approx(found['top1_error'], abs=1e-3)
    assert all(loss > 0 for loss in curves['train_loss'])
    # 72 images in whole batches of 8
    assert all(round(e * 0.72, 3) == pytest.approx(round(e * 0.72), abs=1e-2)
               for e in curves['train_error'])
    assert found['command'].startswith(f'python tools/claims.py --networks {NETWORK} --seeds 0')
    assert f'| {NETWORK} ' in (trained / 'claims-tables.md').read_text()
    again = run(tool(small, trained))
    assert again.returncode == 0 and '1 runs, 1 of them finished before' in again.stdout


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_weights_and_curves(small, trained, tmp_path):
    folder = tmp_path / NETWORK / 'seed0'
    with open(tmp_path / 'killed.log', 'w') as log:
        process = subprocess.Popen(
            tool(small, tmp_path), cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + 300
        while not (folder / 'last_checkpoint').exists() and time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / 'killed.log').read_text()[-3000:]
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (folder / f'epoch_{EPOCHS}.pth').exists(), 'the run ended before it was killed'
    assert run(tool(small, tmp_path, '--report')).returncode == 1, 'nothing is finished'
    process = run(tool(small, tmp_path))
    assert process.returncode == 0, process.stdout + process.stderr
    assert 'resumed' in (folder / 'console.log').read_text()
    expected, found = weights(trained), weights(tmp_path)
    assert expected.keys() == found.keys()
    assert not [name for name in expected if not torch.equal(expected[name], found[name])]
    curves = [json.loads((d / 'records.jsonl').read_text())['curves'] for d in (trained, tmp_path)]
    assert curves[0]['train_loss'] == curves[1]['train_loss']
    assert curves[0]['train_error'] == curves[1]['train_error']


def test_records_of_another_recipe_are_refused_before_training(small, trained, tmp_path):
    data, recipe = small
    other = tmp_path / 'other.py'
    other.write_text(f"_base_ = {str(recipe)!r}\noptim_wrapper = dict(optimizer=dict(lr=0.1))\n")
    process = run(
        tool((data, other), tmp_path, '--records', str(trained / 'records.jsonl'))
    )
    assert process.returncode == 1
    assert 'lr 0.2 and 0.1. Choose another file with --records' in process.stderr
