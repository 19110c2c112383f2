"""Classification data sets: ImageNet in its official layouts, and image folders of any kind."""
import os
from collections.abc import Callable, Sequence
from typing import Any

from shufflenet_runtime.images import SUFFIXES

import torch
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.dataset import BaseDataset
from mmengine.fileio import LocalBackend, get_file_backend
from torch import Tensor

from ..common.errors import ConfigError, DataError
from .decode import decode_rgb, note_folder, read_image_file
from .imagenet_layouts import (
    DEVKIT_TRUTH,
    LAYOUTS,
    Entries,
    can_list,
    check_classes,
    join,
    list_folders,
    list_images,
    match_images,
    read_devkit,
    read_devkit_classes,
    read_label_file,
    scan_class_folders,
)
from .pixels import DecodedPixels
from .tiny_imagenet import (
    ANNOTATIONS,
    check_listed_images,
    find_annotations,
    read_annotations,
    read_names,
    read_wnids,
)


@DATASETS.register_module()
class ImageFolderDataset(BaseDataset):
    """Images in one folder a class, or named with their labels in a text file.

    A sample is ``dict(inputs=uint8 tensor (3, H, W), labels=int, paths=str)``, in RGB, after the
    transforms of ``pipeline``; normalisation is left to the model, so that workers send bytes.
    ``metainfo['classes']`` has the class names in the order of labels.

    An index may be a pair ``(index, seed)``, as :class:`EpochSampler` makes them: the transforms
    then draw from torch's generator under that seed, and leave no trace in the process's own.

    Args:
        data_root: folder or URI of the data set.
        split: folder of the images, relative to ``data_root``.
        ann_file: text file with lines ``image label``, relative to ``data_root``; images are
            relative to ``split``, a label is a class name or an index. By default the folders
            are the classes.
        classes: class names in the order of labels. By default the names of the folders in
            ``train_split``, or of those in ``split`` if it has none, sorted.
        train_split: folder whose folders give the classes to all splits.
        extensions: endings of image files, in lower case.
        pipeline: transforms; ``dict(type='torchvision/...')`` for those of torchvision.
        backend_args: of MMEngine's file backend.
        indices: use the first n images, or those of the indices given.
        lazy_init: read the folders when the data set is first used.
        cache: folder in which the decoded images are kept (:class:`DecodedPixels`), for local
            images of one size; by default they are decoded each time.

    Raises:
        ConfigError: ``cache`` for images that are not local.
        DataError: the data set is missing, incomplete or contradicts itself; on access, an image
            cannot be read.
    """

    def __init__(
        self,
        data_root: str,
        split: str = '',
        ann_file: str = '',
        classes: Sequence[str] | None = None,
        train_split: str = 'train',
        extensions: Sequence[str] = SUFFIXES,
        pipeline: Sequence[dict | Callable] = (),
        backend_args: dict | None = None,
        indices: int | Sequence[int] | None = None,
        lazy_init: bool = False,
        cache: str | None = None,
    ) -> None:
        self.backend_args = backend_args
        self.cache = cache
        self._decoded: DecodedPixels | None = None
        self.extensions = tuple(extensions)
        self.train_split = train_split
        self._classes = classes
        # of our scope whatever the default is, so that the data set serves outside a Runner, too
        transforms = [TRANSFORMS.build(t) if isinstance(t, dict) else t for t in pipeline]
        super().__init__(
            ann_file=ann_file,
            data_root=str(data_root),
            data_prefix=dict(img_path=split),
            indices=indices,
            pipeline=transforms,
            lazy_init=lazy_init,
        )

    def __getitem__(self, idx: int | tuple[int, int]) -> dict[str, Any]:
        if not isinstance(idx, tuple):
            return super().__getitem__(idx)
        index, seed = idx
        with torch.random.fork_rng(devices=[]):
            # not torch.manual_seed, which would seed the GPUs, too
            torch.default_generator.manual_seed(seed)
            return super().__getitem__(index)

    def full_init(self) -> None:
        """Read the folders and, with ``cache``, decode the images, unless that was done before."""
        super().full_init()
        if self.cache is None or self._decoded is not None:
            return
        if not isinstance(self._backend, LocalBackend):
            raise ConfigError(f'cache={self.cache!r} is for local images, not for {self.folder}.')
        paths = [self._path(self.get_data_info(i)) for i in range(len(self))]
        name = os.path.basename(self.folder.rstrip('/'))
        self._decoded = DecodedPixels(self.cache, name, paths, self._decode)

    def prepare_data(self, idx: int) -> dict[str, Any]:
        """Read, decode and transform one sample."""
        info = self.get_data_info(idx)
        path = self._path(info)
        kept = self._decoded
        pixels = self._decode(path) if kept is None else kept[info['sample_idx']]
        return self.pipeline(dict(inputs=pixels, labels=info['gt_label'], paths=path))

    # what is decoded is in the order of this data set: a part of it has another
    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """As in MMEngine; the part decodes its images each time."""
        super().get_subset_(indices)
        self._decoded = None

    def _copy_without_annotation(self, memo: dict | None = None) -> 'ImageFolderDataset':
        other = super()._copy_without_annotation({} if memo is None else memo)
        other._decoded = None
        return other

    def _path(self, info: dict) -> str:
        return join(self.folder, info['img_path'])

    def _decode(self, path: str) -> Tensor:
        return decode_rgb(read_image_file(path, self.backend_args), path)

    @property
    def folder(self) -> str:
        """Folder or URI of the images."""
        return self.data_prefix['img_path']

    @property
    def _backend(self):
        return get_file_backend(self.folder, backend_args=self.backend_args, enable_singleton=True)

    def load_data_list(self) -> list[dict]:
        """One ``dict(img_path=..., gt_label=...)`` an image; paths are relative to the folder."""
        self._check_folders()
        classes, entries = self._load()
        if not entries:
            raise DataError(f'no image in {self.folder}: the set is empty. {LAYOUTS}')
        self._metainfo['classes'] = classes
        return [dict(img_path=path, gt_label=label) for path, label in entries]

    def _load(self) -> tuple[tuple[str, ...], Entries]:
        """Classes in the order of labels, and the images with theirs."""
        classes = self._class_names()
        if not self.ann_file:
            return classes, scan_class_folders(
                self._backend, self.folder, classes, self.extensions
            )
        return classes, self._load_label_file(self.ann_file, classes)

    def _load_label_file(self, path: str, classes: tuple[str, ...]) -> Entries:
        entries = self._read_labels(path, classes)
        if can_list(self._backend):
            match_images(entries, self._images(), path, self.folder)
        return entries

    def _read_labels(self, path: str, classes: tuple[str, ...]) -> Entries:
        return read_label_file(path, classes, self.backend_args)

    def _images(self) -> list[str]:
        return list_images(self._backend, self.folder, self.extensions)

    def _class_names(self) -> tuple[str, ...]:
        """Classes of the config, else of the training folder, else of the folder itself."""
        if self._classes is not None:
            return check_classes(self._classes, 'classes of the config')
        names = self._found_classes()
        if not names:
            raise DataError(f'no class folders in {self.folder}, and no classes given. {LAYOUTS}')
        return check_classes(names, self.folder)

    def _found_classes(self) -> list[str]:
        train = join(self.data_root, self.train_split)
        return list_folders(self._backend, train) or list_folders(self._backend, self.folder)

    def _join_prefix(self) -> None:
        # MMEngine's does the same for stores that can list their files only
        self.data_prefix = {k: join(self.data_root, v) for k, v in self.data_prefix.items()}
        if self.ann_file:
            self.ann_file = join(self.data_root, self.ann_file)

    def _check_folders(self) -> None:
        """Raise for a folder that does not exist, or a store that does not tell what it has."""
        if not can_list(self._backend) and (
            self._classes is None or not self.ann_file or self.ann_file.endswith(DEVKIT_TRUTH)
        ):
            raise DataError(
                f'{self.folder} cannot be listed through {self._backend.name}: give classes, and '
                'an ann_file with lines "image label".'
            )
        if not isinstance(self._backend, LocalBackend):
            return
        for what, folder in (('data root', self.data_root), ('image folder', self.folder)):
            if not os.path.isdir(folder):
                raise DataError(f'{what} not found: {os.path.abspath(folder)}. {LAYOUTS}')
            note_folder(folder)
        if self.ann_file and not os.path.isfile(self.ann_file):
            raise DataError(f'ground truth not found: {os.path.abspath(self.ann_file)}. {LAYOUTS}')


@DATASETS.register_module()
class ImageNetDataset(ImageFolderDataset):
    """ImageNet-1k: class folders, or the official flat ``val/`` with its ground truth; and Tiny
    ImageNet.

    A flat folder needs ``ann_file``, or one of these in ``data_root``: ``<split>.txt``,
    ``meta/<split>.txt`` (lines ``image label``), or the devkit, unpacked,
    ``ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt`` with ``meta.mat``.
    Labels are indices of the sorted wnids, whatever the ground truth counts.

    Tiny ImageNet is read as it is published (:mod:`.tiny_imagenet`), and compared with its lists.
    With a ``words.txt`` in ``data_root``, ``metainfo['class_names']`` has names for people.

    Arguments, samples and errors are those of :class:`ImageFolderDataset`.
    """

    def _load(self) -> tuple[tuple[str, ...], Entries]:
        truth = self.ann_file or self._find_truth()
        if not truth:
            check_listed_images(
                self._backend, self.folder, self._class_names(), self.extensions, self.backend_args
            )
            return super()._load()
        if not truth.endswith(DEVKIT_TRUTH):
            classes = self._class_names()
            return classes, self._load_label_file(truth, classes)
        wnids = read_devkit_classes(truth, self.backend_args)
        if self._classes is None and not self._found_classes():
            classes = check_classes(sorted(wnids.values()), truth)
        else:
            classes = self._class_names()
        images = self._images()
        entries = read_devkit(truth, wnids, images, classes, self.backend_args)
        match_images(entries, images, truth, self.folder)
        return classes, entries

    def load_data_list(self) -> list[dict]:
        """As in :class:`ImageFolderDataset`."""
        data_list = super().load_data_list()
        words = join(self.data_root, 'words.txt')
        if can_list(self._backend) and self._backend.exists(words):
            names = read_names(words, self._metainfo['classes'], self.backend_args)
            self._metainfo['class_names'] = names
        return data_list

    def _read_labels(self, path: str, classes: tuple[str, ...]) -> Entries:
        if path.endswith(ANNOTATIONS):
            return read_annotations(path, classes, self.backend_args)
        return super()._read_labels(path, classes)

    def _found_classes(self) -> list[str]:
        wnids = join(self.data_root, 'wnids.txt')
        if not self._backend.exists(wnids):
            return super()._found_classes()
        train = list_folders(self._backend, join(self.data_root, self.train_split))
        return read_wnids(wnids, train, self.backend_args)

    def _find_truth(self) -> str | None:
        """The ground truth of a flat folder; None if the folder has class folders."""
        split = os.path.basename(self.folder.rstrip('/'))
        if annotations := find_annotations(self._backend, self.folder, split):
            return annotations
        if list_folders(self._backend, self.folder):
            return None
        names = f'{split}.txt', f'meta/{split}.txt', f'ILSVRC2012_devkit_t12/data/{DEVKIT_TRUTH}'
        candidates = [join(self.data_root, name) for name in names]
        for path in candidates:
            if self._backend.exists(path):
                return path
        raise DataError(
            f'{self.folder} has no class folders, and there is no ground truth for it: none of '
            f'{", ".join(candidates)} exists. {LAYOUTS}'
        )
