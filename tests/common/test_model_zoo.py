"""Configs of MMDetection are found as mmengine finds them, and without reading a file twice."""
import os
from pathlib import Path

from shufflenet_det.common import model_zoo

import mmengine.config.utils as mmengine_utils
import pytest
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.hub import get_config
from mmengine.utils import get_installed_path

NAME = 'retinanet/retinanet_r50_fpn_1x_coco.py'


def test_metadata_is_that_of_mmengine():
    package = get_installed_path('mmdet')
    with model_zoo.remembered():
        found = [mmengine_utils._get_cfg_metainfo(package, NAME) for _ in range(2)]
    assert mmengine_utils.load is load
    assert found == [mmengine_utils._get_cfg_metainfo(package, NAME)] * 2
    assert found[0]['Name'] == Path(NAME).stem


def test_config_and_its_bases_are_found_as_before():
    with model_zoo.remembered():
        found = get_config(f'mmdet::{NAME}')
    plain = get_config(f'mmdet::{NAME}')
    assert isinstance(found, Config) and found.to_dict() == plain.to_dict()
    assert found.filename == plain.filename


def test_second_search_reads_no_metafile(monkeypatch):
    with model_zoo.remembered():
        get_config(f'mmdet::{NAME}')

    def read(path: str) -> None:
        pytest.fail(f'{path} was read again')

    monkeypatch.setattr(model_zoo, 'load', read)
    with model_zoo.remembered():
        get_config(f'mmdet::{NAME}')


def test_file_that_has_changed_is_read_again(tmp_path):
    file = tmp_path / 'metafile.yml'
    file.write_text('Models: [a]')
    assert model_zoo.load_metafile(str(file)) == dict(Models=['a'])
    file.write_text('Models: [b]')
    os.utime(file, ns=(0, 0))
    assert model_zoo.load_metafile(str(file)) == dict(Models=['b'])


def test_config_that_does_not_exist_is_still_an_error():
    with pytest.raises(FileNotFoundError, match='nowhere.py'):
        get_config('mmdet::retinanet/nowhere.py')
