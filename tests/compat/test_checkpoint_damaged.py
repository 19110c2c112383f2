"""A checkpoint that cannot be read says why, and names the file and the remedy."""
import zipfile

from shufflenet_det.common.errors import ShuffleNetDetError
from shufflenet_det.compat import checkpoint
from shufflenet_det.compat.checkpoint import CheckpointError, UnsafeCheckpointError

import pytest
import torch
from mmengine.runner import load_checkpoint
from torch import nn

checkpoint.install()


def failure(path, error=CheckpointError):
    with pytest.raises(error) as info:
        load_checkpoint(nn.Linear(2, 2), str(path))
    assert str(path) in str(info.value) and not isinstance(info.value, UnsafeCheckpointError)
    # what the command line tools catch
    assert isinstance(info.value, ShuffleNetDetError)
    return str(info.value)


def test_missing(tmp_path):
    for name in ('epoch_1.pth', 'epoch_2.pth', 'zzz.pth', 'log.txt'):
        (tmp_path / name).touch()
    message = failure(tmp_path / 'epoch_3.pth', FileNotFoundError)
    assert 'epoch_1.pth' in message and 'epoch_2.pth' in message and 'log.txt' not in message
    assert 'no folder' in failure(tmp_path / 'absent/epoch_1.pth', FileNotFoundError)


def test_only_paths_are_looked_for_beforehand(tmp_path):
    for name in ('https://example.org/nothing.pth', 'torchvision://nothing', 'mmcls://nothing'):
        checkpoint.require_present(name)
    with pytest.raises(CheckpointError, match='can not be found'):
        checkpoint.require_present(str(tmp_path / 'nothing.pth'))
    present = tmp_path / 'epoch_1.pth'
    present.touch()
    checkpoint.require_present(str(present))


def test_folder(tmp_path):
    (tmp_path / 'epoch_1.pth').touch()
    message = failure(tmp_path)
    assert 'folder' in message and 'epoch_1.pth' in message


@pytest.mark.parametrize('content, said', [
    (b'', 'is empty'),
    (b'\n <!DOCTYPE html><html>Not found</html>', 'HTML page'),
    (b'<?xml version="1.0"?><Error>AccessDenied</Error>', 'HTML page'),
    (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'git lfs pull'),
    (b'Not Found', 'a text file'),
    (b'\x89PNG\r\n\x1a\n\0\0', 'unknown format'),
    (b'\x80\x02}q\x00.', 'no checkpoint'),
    (b'\x80\x02X\xff\xff\xff\x7f', 'damaged'),
])
def test_no_checkpoint(content, said, tmp_path):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    assert said in failure(path)


def zipped_files(path, **files):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def test_zip_around_a_checkpoint(tmp_path):
    net, path = nn.Linear(2, 2), tmp_path / 'x.pth.zip'
    for zipped in (True, False):
        torch.save(net.state_dict(), file := tmp_path / 'x.pth',
                   _use_new_zipfile_serialization=zipped)
        zipped_files(path, x=file.read_bytes())
        assert torch.equal(checkpoint.read_checkpoint(path)['weight'], net.weight)
    content = path.read_bytes()
    # from behind the local header on, which is what makes it a zip archive at all
    for length in (40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert 'cut short' in failure(path)
    damaged = bytearray(content)
    damaged[len(content) // 3] ^= 255
    path.write_bytes(damaged)
    assert 'damaged zip archive' in failure(path)


def test_other_zip(tmp_path):
    path = tmp_path / 'x.pth'
    zipped_files(path, a=b'x', b=b'y')
    assert '2 files in it (a, b) where one is expected' in failure(path)
    zipped_files(path)
    assert 'x.pth' in failure(path)
    zipped_files(path, a=b'some text')
    assert 'a text file' in failure(path)
    zipped_files(path, a=bytes(10**6))
    assert 'holds no weights' in failure(path)
    zipped_files(path, a=b'x', b=b'y')
    zipped_files(tmp_path / 'outer.pth', x=path.read_bytes())
    assert 'zip archive in a zip archive' in failure(tmp_path / 'outer.pth')


@pytest.mark.parametrize('zipped', [True, False])
def test_cut_short_anywhere(zipped, tmp_path):
    path = tmp_path / 'x.pth'
    state = {'meta': {'epoch': 1}, 'state_dict': nn.Linear(40, 40).state_dict()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    for size in range(1, len(content), len(content) // 40):
        path.write_bytes(content[:size])
        failure(path)
    # from here on torch's reader of zip archives seeks in vain, and fails otherwise than before
    path.write_bytes(content[:5000])
    assert 'cut short' in failure(path)


def test_not_a_checkpoint_of_a_model(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save([torch.zeros(2)], path)
    assert 'holds a list' in failure(path)
    torch.save({'state_dict': [torch.zeros(2)]}, path)
    assert "'state_dict'" in failure(path)
    torch.save({1: torch.zeros(2)}, path)
    assert 'not names' in failure(path)


def test_safetensors(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'x.safetensors'
    source, target = nn.Linear(2, 2), nn.Linear(2, 2)
    safetensors.save_file(source.state_dict(), str(path))
    load_checkpoint(target, str(path), map_location='cpu')
    assert torch.equal(source.weight, target.weight)
    for content in (b'\xff' * 40, b'\x10', path.read_bytes()[:-3], b'\x02' + bytes(7) + b'{]'):
        path.write_bytes(content)
        failure(path)


def test_map_location_is_passed_on(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save({'state_dict': nn.Linear(2, 2).state_dict()}, path)
    loaded = checkpoint.read_checkpoint(path, map_location='meta')
    assert loaded['state_dict']['weight'].device.type == 'meta'


def test_a_flipped_bit_is_no_other_weight(tmp_path):
    path = tmp_path / 'x.pth'
    weights = nn.Linear(40, 40).state_dict()
    torch.save({'state_dict': weights}, path)
    content = bytearray(path.read_bytes())
    where = content.index(weights['weight'].numpy().tobytes())
    content[where + 1000] ^= 1
    path.write_bytes(content)
    assert 'damaged' in failure(path) and 'CRC' in failure(path)
    if not hasattr(torch.serialization, 'set_crc32_options'):
        return
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({'state_dict': weights}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(checkpoint.read_checkpoint(path)['state_dict']['weight'], weights['weight'])
