import http.server
import threading
from functools import partial
from pathlib import Path

from shufflenet_det.common.errors import DataError
from shufflenet_det.data import ImageFolderDataset, ImageNetDataset

import pytest
from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio.backends import BaseStorageBackend, backends
from torchvision.datasets import ImageFolder

from .image_files import encoded, picture, write_folders

CLASSES = dict(n02=2, n10=1, n01=3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_folders(tmp_path, CLASSES)
    return write_folders(tmp_path, dict.fromkeys(CLASSES, 1), 'val')


def listed(data: ImageFolderDataset, root: Path, split: str = 'train') -> list[tuple[str, int]]:
    infos = [data.get_data_info(i) for i in range(len(data))]
    return [(str(root / split / info['img_path']), info['gt_label']) for info in infos]


@pytest.mark.parametrize('kind', [ImageFolderDataset, ImageNetDataset])
def test_class_folders_are_read_as_torchvision_reads_them(kind, root: Path) -> None:
    (root / 'train' / 'n10' / 'notes.txt').write_text('no image')
    (root / 'train' / 'n10' / '.hidden.JPEG').write_text('no image')
    (root / 'train' / 'n10' / 'deeper').mkdir()
    (root / 'train' / 'n10' / 'deeper' / 'x.png').write_bytes(encoded(picture(), 'PNG'))
    expected = ImageFolder(str(root / 'train'))
    data = kind(str(root), 'train')
    assert data.metainfo['classes'] == tuple(expected.classes) == ('n01', 'n02', 'n10')
    hidden = [pair for pair in expected.samples if '.hidden' not in pair[0]]
    assert listed(data, root) == sorted(hidden, key=lambda pair: (pair[1], pair[0]))


def test_a_sample_has_bytes_label_and_path(root: Path) -> None:
    sample = ImageFolderDataset(root, 'train')[3]
    assert sample['inputs'].shape == (3, 60, 80) and sample['labels'] == 1
    assert sample['paths'] == str(root / 'train' / 'n02' / 'n02_0.JPEG')
    assert set(sample) == {'inputs', 'labels', 'paths'}


def test_folder_without_splits(root: Path) -> None:
    assert len(ImageFolderDataset(root / 'train')) == 6


def test_first_images_only(root: Path) -> None:
    assert len(ImageFolderDataset(root, 'train', indices=2)) == 2


def test_classes_of_the_config_give_the_order(root: Path) -> None:
    data = ImageFolderDataset(root, 'val', classes=['n10', 'n01', 'n02'])
    assert data.metainfo['classes'] == ('n10', 'n01', 'n02')
    names = [Path(path).name for path, _ in listed(data, root, 'val')]
    assert names == ['n10_0.JPEG', 'n01_0.JPEG', 'n02_0.JPEG']


def test_label_file_names_images_of_any_folder(root: Path) -> None:
    lines = ['n01/n01_0.JPEG n02', 'n02/n02_0.JPEG 2', 'n10/n10_0.JPEG  0', '']
    (root / 'val.txt').write_text('\r\n'.join(lines))
    data = ImageFolderDataset(root, 'val', ann_file='val.txt')
    assert [label for _, label in listed(data, root)] == [1, 2, 0]


def test_file_names_may_have_spaces(tmp_path: Path) -> None:
    (tmp_path / 'my cat.jpg').write_bytes(encoded(picture()))
    (tmp_path / 'labels.txt').write_text('my cat.jpg cat\n')
    data = ImageFolderDataset(tmp_path, ann_file='labels.txt', classes=['cat'])
    assert data[0]['paths'].endswith('my cat.jpg')


class RemoteStore(BaseStorageBackend):
    """Local files behind another kind of backend, as a remote store would be."""

    root: Path

    def __init__(self) -> None:
        self.local = LocalBackend()

    def _path(self, path: str) -> str:
        return path.replace('remote://', f'{self.root}/')

    def get(self, filepath: str) -> bytes:
        return self.local.get(self._path(filepath))

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        return self.local.get_text(self._path(filepath), encoding)

    def exists(self, filepath: str) -> bool:
        return self.local.exists(self._path(filepath))

    def list_dir_or_file(self, dir_path: str, **options):
        return self.local.list_dir_or_file(self._path(dir_path), **options)


def test_remote_store_gives_what_a_local_folder_gives(root: Path, monkeypatch) -> None:
    monkeypatch.setattr(RemoteStore, 'root', root.parent, raising=False)
    register_backend('remote_store', RemoteStore, force=True)
    args = dict(backend='remote_store')
    try:
        remote = ImageNetDataset(f'remote://{root.name}', 'train', backend_args=args)
        assert listed(remote, root) == listed(ImageNetDataset(root, 'train'), root)
        assert remote[0]['inputs'].shape == (3, 60, 80)
        assert remote[0]['paths'] == f'remote://{root.name}/train/n01/n01_0.JPEG'
    finally:
        del backends['remote_store']


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


def test_files_over_http(root: Path, monkeypatch) -> None:
    monkeypatch.setenv('no_proxy', '*')
    (root / 'val.txt').write_text(''.join(f'{n}/{n}_0.JPEG {n}\n' for n in CLASSES))
    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), partial(Quiet, directory=str(root))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f'http://127.0.0.1:{server.server_port}'
    try:
        data = ImageNetDataset(address, 'val', ann_file='val.txt', classes=sorted(CLASSES))
        assert [label for _, label in listed(data, root)] == [1, 2, 0]
        assert data[0]['inputs'].shape == (3, 60, 80)
        (root / 'val' / 'n02' / 'n02_0.JPEG').unlink()
        with pytest.raises(DataError, match=r'n02/n02_0\.JPEG: Not Found|n02_0\.JPEG'):
            data[0]
        with pytest.raises(DataError, match='give classes'):
            ImageNetDataset(address, 'train')
    finally:
        server.shutdown()
        server.server_close()


def test_missing_root_names_variable_and_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='data root not found.*IMAGENET_ROOT.*train/<class>'):
        ImageNetDataset(tmp_path / 'nowhere', 'train')


def test_missing_split_is_named(root: Path) -> None:
    with pytest.raises(DataError, match='image folder not found.*test'):
        ImageFolderDataset(root, 'test')


def test_class_folder_without_images_is_named(root: Path) -> None:
    (root / 'train' / 'n02' / 'n02_0.JPEG').unlink()
    (root / 'train' / 'n02' / 'n02_1.JPEG').rename(root / 'train' / 'n02' / 'x.gz')
    with pytest.raises(DataError, match='1 of 3 class folders.*n02'):
        ImageFolderDataset(root, 'train')


@pytest.mark.parametrize('added, message', [(True, 'too many.*n77'), (False, 'missing.*n10')])
def test_validation_must_have_the_classes_of_training(root: Path, added, message) -> None:
    if added:
        (root / 'val' / 'n77').mkdir()
    else:
        (root / 'val' / 'n10').rename(root / 'elsewhere')
    with pytest.raises(DataError, match=message):
        ImageNetDataset(root, 'val')


def test_class_named_twice(root: Path) -> None:
    with pytest.raises(DataError, match='more than once: n01'):
        ImageFolderDataset(root, 'train', classes=['n01', 'n02', 'n01'])


@pytest.mark.parametrize('kind', [ImageFolderDataset, ImageNetDataset])
def test_empty_validation_set(kind, root: Path) -> None:
    (root / 'empty').mkdir()
    with pytest.raises(DataError, match='missing|no ground truth'):
        kind(root, 'empty')
    (root / 'empty.txt').write_text('')
    with pytest.raises(DataError, match='the set is empty'):
        kind(root, 'empty', ann_file='empty.txt')


def test_unreadable_image_is_named_when_it_is_read(root: Path) -> None:
    path = root / 'train' / 'n01' / 'n01_1.JPEG'
    path.write_bytes(path.read_bytes()[:-40])
    data = ImageFolderDataset(root, 'train')
    assert data[0]['labels'] == 0
    with pytest.raises(DataError, match=r'n01_1\.JPEG'):
        data[1]
    path.unlink()
    with pytest.raises(DataError, match=r'n01_1\.JPEG: No such file'):
        data[1]


@pytest.mark.parametrize(
    'text, message',
    [
        ('n01/n01_0.JPEG 0\nn02/n02_0.JPEG 1\n', r'1 images without a label \(n10/n10_0'),
        ('n01/n01_0.JPEG 0\nn02/n02_0.JPEG 1\nn10/n10_0.JPEG 2\nx.JPEG 1\n', r'missing \(x\.JPEG'),
        ('n01/n01_0.JPEG 0\nn02/n02_0.JPEG 3\n', 'line 2: label 3 is out of range.*3 classes'),
        ('n01/n01_0.JPEG n03\n', "line 1: class 'n03'"),
        ('n01/n01_0.JPEG\n', 'line 1: expected'),
        ('n01/n01_0.JPEG 0\n\nn02/n02_0.JPEG 1\n', 'line 2: expected'),
        (
            'n01/n01_0.JPEG 0\nn02/n02_0.JPEG 1\nn10/n10_0.JPEG 2\nn10/n10_0.JPEG 1\n',
            'more than once.*n10_0',
        ),
    ],
)
def test_label_file_that_does_not_fit(root: Path, text: str, message: str) -> None:
    (root / 'val.txt').write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        ImageNetDataset(root, 'val', ann_file='val.txt')
    assert 'val.txt' in str(caught.value)


def test_label_file_missing_or_binary(root: Path) -> None:
    with pytest.raises(DataError, match='ground truth not found'):
        ImageNetDataset(root, 'val', ann_file='nowhere.txt')
    (root / 'val.txt').write_bytes(encoded(picture()))
    with pytest.raises(DataError, match='cannot read ground truth'):
        ImageNetDataset(root, 'val', ann_file='val.txt')
