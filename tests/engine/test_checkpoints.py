"""Which checkpoint a run is resumed from."""
import os
from pathlib import Path

from shufflenet_det.engine.checkpoints import latest_checkpoint


def write(folder: Path, *names: str) -> None:
    """Files, each written an hour after the one before."""
    for hour, name in enumerate(names):
        (folder / name).touch()
        os.utime(folder / name, (3600 * hour, 3600 * hour))


def test_without_a_note_it_is_the_one_with_the_largest_number(tmp_path):
    # as copies are, whose times say nothing
    write(tmp_path, 'epoch_10.pth', 'epoch_9.pth', 'epoch_best.pth')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_10.pth')
    write(tmp_path, 'iter_500.pth', 'epoch_10.pth', 'iter_400.pth')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_10.pth')


def test_the_note_counts_where_its_file_is_there(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    write(tmp_path, 'epoch_1.pth', 'epoch_2.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_1.pth')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth')
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_2.pth')
