"""Pictures of what is found in testing."""
from collections.abc import Sequence
from pathlib import Path

from shufflenet_runtime.files import below
from shufflenet_runtime.sources import drawing_name

import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.fileio import get
from mmengine.runner import Runner


@HOOKS.register_module()
class ShowHook(DetVisualizationHook):
    """``DetVisualizationHook`` that keeps images of one name in several folders apart.

    MMDetection draws ``cam1/x.jpg`` and ``cam2/x.jpg`` into one file. Here a picture has the path
    of its image below the folder that all images of the test are in.

    Arguments are those of ``DetVisualizationHook``.
    """

    def before_test(self, runner: Runner) -> None:
        dataset = runner.test_dataloader.dataset
        paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
        self._names = dict(zip(paths, map(drawing_name, below(paths)), strict=True))

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        if self.test_out_dir is None:
            super().after_test_iter(runner, batch_idx, data_batch, outputs)
            return
        for sample in outputs:
            self._test_index += 1
            content = get(sample.img_path, backend_args=self.backend_args)
            self._visualizer.add_datasample(
                'test_img',
                mmcv.imfrombytes(content, channel_order='rgb'),
                data_sample=sample,
                pred_score_thr=self.score_thr,
                out_file=str(Path(self.test_out_dir, self._names[sample.img_path])),
                step=self._test_index,
            )
