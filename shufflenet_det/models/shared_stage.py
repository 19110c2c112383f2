"""The last stage of a backbone as the shared head of a C4 detector."""
from mmdet.registry import MODELS
from mmengine.model import Sequential
from torch import Tensor

from ..common.errors import ConfigError
from .norm import eval_batch_norms
from .staged import with_channels_last


@MODELS.register_module()
class SharedRoIStage(Sequential):
    """One backbone stage, run on RoI features (Faster R-CNN "C4", as MMDetection's ``ResLayer``).

    The backbone is built from its config and all but the stage is dropped, so any backbone with
    ``layers``, a list of its stages, will do. State-dict keys are those inside the stage: the
    weights come from the backbone's own checkpoint with ``prefix='backbone.layers.<stage - 1>.'``,
    except for AlexNet, VGG-16, GoogLeNet and SqueezeNet, whose keys do not name the stage.

    Args:
        backbone: config of the backbone, as the detector's own but for ``out_indices``.
        stage: the level that the stage makes, counted as ``out_indices`` are; 3 is stride 32.
        norm_eval: keep the statistics of batch norms as they are while training.
        init_cfg: initialisation; by default that of the backbone.

    Attributes:
        stage: as given.
        out_channels: channels of the output (N, out_channels, ceil(H / 2), ceil(W / 2)).
    """

    def __init__(
        self,
        backbone: dict,
        stage: int = 3,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        donor = MODELS.build(
            {**backbone, 'out_indices': (stage,), 'frozen_stages': -1, 'init_cfg': None}
        )
        if not hasattr(donor, 'layers') or not 0 < stage <= len(donor.layers):
            raise ConfigError(
                f'{backbone["type"]} has no stage {stage} in `layers` to share with the RoI head.'
            )
        super().__init__(*donor.layers[stage - 1], init_cfg=init_cfg or donor.init_cfg)
        self.stage = stage
        self.norm_eval = norm_eval
        self.channels_last = getattr(donor, 'channels_last', False)
        (self.out_channels,) = donor.out_channels

    def forward(self, x: Tensor) -> Tensor:
        """RoI features (K, C, H, W) to (K, out_channels, ceil(H / 2), ceil(W / 2))."""
        x = with_channels_last(x) if self.channels_last else x
        return super().forward(x).contiguous()

    def train(self, mode: bool = True) -> 'SharedRoIStage':
        """Switch to training mode; with ``norm_eval`` batch norms stay in evaluation mode."""
        super().train(mode)
        if mode and self.norm_eval:
            eval_batch_norms(self)
        return self
