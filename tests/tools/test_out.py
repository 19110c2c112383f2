"""Where results go, seen to before they are computed."""
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.tools.test import keep_results

import pytest


def test_results_cannot_go_to_a_folder(tmp_path):
    (tmp_path / 'results.json').mkdir()
    with pytest.raises(ConfigError, match='is a folder: name a file'):
        keep_results(None, str(tmp_path / 'results.json'))
