import json
import subprocess
import sys
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.models.complexity import count_config
from shufflenet_det.paper.claims import CLAIMS, NETWORKS, Training, errors_of, run_config, verdict
from shufflenet_det.paper.claims_report import claims_table, compared, write_report

import pytest

from ..conftest import ROOT

RECIPE = ROOT / 'configs' / 'sample' / 'claims.py'
NETWORK_CONFIGS = ROOT / 'configs' / 'imagenet'


def test_verdict_is_that_of_welchs_test():
    # difference 2, variances 1 and 1 over 3 seeds: t = 2 / sqrt(2 / 3) = 2.449 with 4 degrees of
    # freedom, two-sided p = 0.0705
    difference, p_value, word = verdict([10, 11, 12], [12, 13, 14])
    assert difference == pytest.approx(2)
    assert p_value == pytest.approx(0.0705, abs=1e-4)
    assert word == 'not seen'
    assert verdict([10, 11, 12], [20, 21, 22])[2] == 'seen'
    assert verdict([20, 21, 22], [10, 11, 12])[2] == 'opposite'


def test_compared_networks_differ_in_the_network_alone(tmp_path):
    configs = [
        run_config(Training(name, 0, tmp_path), RECIPE, NETWORK_CONFIGS).to_dict()
        for name in NETWORKS
    ]
    assert len({json.dumps(c['model'].pop('backbone'), sort_keys=True) for c in configs}) == len(
        NETWORKS
    )
    for config in configs:
        config.pop('work_dir'), config.pop('experiment_name')
        assert config == configs[0]


@pytest.mark.parametrize('budget', [13, 38])
def test_compared_units_cost_alike(budget, tmp_path):
    claims = [c for c in CLAIMS if f'{budget} MFLOPs' in c.about]
    assert len(claims) == 4
    for name in {n for claim in claims for n in (claim.better, claim.worse)}:
        cfg = run_config(Training(name, 0, tmp_path), RECIPE, NETWORK_CONFIGS)
        cfg.model.head.num_classes = 1000
        mflops = count_config(cfg, (224, 224)).macs / 1e6
        # the paper puts the MobileNet of 41 beside its 38
        assert mflops == pytest.approx(budget, rel=0.10), name


def test_report_has_every_claim(tmp_path):
    errors = {name: [50.0 + i, 51.0 + i, 52.0 + i] for i, name in enumerate(NETWORKS)}
    write_report(errors, tmp_path)
    content = json.loads((tmp_path / 'claims.json').read_text())
    assert len(content['claims']) == len(CLAIMS) == len(compared(errors))
    assert claims_table(errors).count('\n') == len(CLAIMS) + 1
    assert (tmp_path / 'claims.png').stat().st_size > 10000
    assert not compared({NETWORKS[0]: [50.0]})


def test_damaged_result_is_named(tmp_path):
    run = Training(NETWORKS[0], 0, tmp_path)
    run.folder.mkdir(parents=True)
    run.result.write_text('{')
    with pytest.raises(DataError, match='result.json'):
        errors_of([run])


def test_tool_trains_and_does_not_repeat(tmp_path: Path):
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(
        f"_base_ = '{RECIPE}'\n"
        'train_cfg = dict(max_epochs=1)\n'
        'train_dataloader = dict(batch_size=16)\n'
    )
    (tmp_path / 'data').mkdir()
    sys_args = [
        sys.executable, 'tools/claims.py', '--work-dir', tmp_path / 'work', '--data',
        tmp_path / 'data' / 'sample', '--images', '64', '32', '--recipe', recipe, '--seeds', '0',
        '--jobs', '1', '--networks', 'shufflenet-v1-0.25x-g3', 'shufflenet-v1-0.25x-g3-noshuffle',
    ]  # fmt: skip
    nothing = subprocess.run([*sys_args, '--report'], cwd=ROOT, capture_output=True, text=True)
    assert nothing.returncode == 1
    assert 'no run in' in nothing.stderr
    first = subprocess.run(sys_args, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert '2 runs, 0 of them finished before' in first
    assert 'shufflenet-v1-0.25x-g3-noshuffle seed 0: top-1 error' in first
    result = tmp_path / 'work' / 'shufflenet-v1-0.25x-g3' / 'seed0' / 'result.json'
    assert json.loads(result.read_text())['iterations'] == 4
    again = subprocess.run(sys_args, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert '2 runs, 2 of them finished before' in again
