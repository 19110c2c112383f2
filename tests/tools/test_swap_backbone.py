"""``tools/swap_backbone.py`` and ``tools/survey_swap.py`` as a user runs them."""
import json
import os
import re
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

from shufflenet_det.common.errors import ConfigError
from shufflenet_det.swap import survey as module
from shufflenet_det.swap import survey_processes as processes
from shufflenet_det.swap.outcomes import load_outcomes
from shufflenet_det.swap.survey import Outcome, summary, survey
from shufflenet_det.swap.survey_processes import shipped_configs

import pytest
from mmengine.config import Config

from ..conftest import ROOT
from ..zygote import run_forked

RETINANET = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'


def run(tool: str, *arguments: object) -> subprocess.CompletedProcess:
    return run_forked([f'tools/{tool}', *arguments])


def test_config_is_written_and_every_change_is_said(tmp_path):
    out = tmp_path / 'new.py'
    process = run('swap_backbone.py', RETINANET, '--backbone', 'shufflenet-v1-0.5x-g3',
                  '--out', out)  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert 'model.neck.in_channels: [64, 128, 256, 512] -> [12, 120, 240, 480]' in process.stdout
    assert f'wrote {out}' in process.stdout
    assert Config.fromfile(out).model.backbone.widen_factor == 0.5
    again = run('swap_backbone.py', RETINANET, '--out', out)
    assert again.returncode == 1
    assert '--force' in again.stderr and 'Traceback' not in again.stderr
    assert Config.fromfile(out).model.backbone.widen_factor == 0.5
    same = run('swap_backbone.py', out, '--backbone', 'shufflenet-v1-0.5x-g3',
               '--out', tmp_path / 'same.py')  # fmt: skip
    assert same.stdout.startswith('nothing differs'), same.stderr
    assert f'same.py only inherits {out}' in same.stdout


def test_refusal_says_why_and_writes_nothing(tmp_path):
    out = tmp_path / 'new.py'
    process = run('swap_backbone.py', 'mmdet::tridentnet/tridentnet_r50-caffe_1x_coco.py',
                  '--backbone', "type=ShuffleNetV1 groups=3", '--out', out)  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.startswith('error: TridentFasterRCNN takes three branches')
    assert not list(tmp_path.iterdir())


def test_survey_takes_configs_through_all_steps_and_resumes(tmp_path):
    out = tmp_path / 'survey.jsonl'
    only = ['yolox/yolox_tiny_8xb8', 'centernet/centernet_tta', 'misc/d2_mask']
    process = run('survey_swap.py', '--only', *only, '--jobs', 1, '--out', out)
    assert process.returncode == 0, process.stderr[-3000:]
    steps = {o.config.split('/')[0]: o.step for o in load_outcomes(out, Outcome)}
    assert steps == dict(yolox='done', centernet='no model', misc='not built')
    assert 'Detectron2' in process.stdout
    lines = out.read_text()
    again = run('survey_swap.py', '--only', *only, '--jobs', 1, '--out', out)
    assert again.stdout == process.stdout
    assert out.read_text() == lines


def test_survey_counts_by_family_and_reason(tmp_path):
    outcomes = [
        Outcome('a.py', 'FCOS', 'ResNet', 'x', 'done'),
        Outcome('b.py', 'FCOS', 'ResNet', 'x', 'refused', 'why'),
        Outcome('c.py', 'RPN', 'ResNet', 'x', 'not built', 'because'),
    ]
    counts, reasons = summary(outcomes)
    assert counts.rows[0] | dict(family='FCOS') == dict(
        family='FCOS', configs=2, built=2, refused=1, failed=0, done=1
    )
    assert counts.rows[-1] == dict(
        family='all', configs=3, built=2, refused=1, failed=0, done=1
    )
    assert [row['reason'] for row in reasons.rows] == ['because', 'why']
    json.dumps(counts.rows)


def test_survey_reuses_outcomes_of_the_same_model_and_backbone_only(tmp_path):
    first, second = (f'faster_rcnn/faster-rcnn_r50_fpn_{n}x_coco.py' for n in (1, 2))
    known = [
        Outcome(first, 'FasterRCNN', 'ResNet', 'x', 'done', seconds=9.0),
        Outcome(first, 'FasterRCNN', 'ResNet', 'y', 'failed'),
        Outcome('other.py', 'FasterRCNN', 'ResNet', 'x', 'done'),
    ]
    assert list(survey([first, second], 'x', known=known)) == [
        known[0], replace(known[0], config=second, seconds=0.0)
    ]


def dies_at_b(name: str, backbone: str) -> Outcome:
    if name == 'b':
        os._exit(1)
    return Outcome(name, '', '', backbone, 'done')


def test_config_that_kills_its_process_is_found_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr(module, 'survey_config', dies_at_b)
    monkeypatch.setattr(
        processes, 'workers', lambda jobs: ProcessPoolExecutor(jobs, mp_context=get_context('fork'))
    )
    steps = {o.config: o.step for o in survey('abc', 'x', jobs=2)}
    assert steps == dict(a='done', b='not built', c='done')


def test_file_of_outcomes_is_read_up_to_where_a_run_was_killed(tmp_path):
    path = tmp_path / 'out.jsonl'
    line = json.dumps(asdict(Outcome('a.py', 'FCOS', 'ResNet', 'x', 'done')))
    path.write_text(f'{line}\n{line[:30]}')
    assert len(load_outcomes(path, Outcome)) == 1
    path.write_text('{"a": 1}\n')
    with pytest.raises(ConfigError, match='not a file of outcomes'):
        load_outcomes(path, Outcome)


def test_survey_is_of_all_configs_that_mmdetection_ships():
    """As many as its package lists, and as the document counts for the stack that is installed."""
    (name,) = set(metadata.packages_distributions()['mmdet'])
    listed = [Path(*file.parts[file.parts.index('configs') + 1 :])
              for file in metadata.files(name)
              if '.mim' in file.parts and 'configs' in file.parts and file.suffix == '.py'
              and not {'_base_', 'common'} & set(file.parts)]  # fmt: skip
    assert shipped_configs() == sorted(path.as_posix() for path in listed)
    columns = {'mmdet': 0, 'onedl-mmdetection': 1}
    (total,) = re.findall(r'^\| \*\*all\*\* \|(.*)', (ROOT / 'docs/swap.md').read_text(), re.M)
    assert int(total.split('|')[columns[name]].strip(' *')) == len(listed)
