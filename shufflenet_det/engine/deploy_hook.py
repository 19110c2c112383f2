"""Testing in the deploy form."""
import copy

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..models import switch_to_deploy


@HOOKS.register_module()
class DeployHook(Hook):
    """Test a copy of the model in its deploy form, :func:`~shufflenet_det.models.switch_to_deploy`.

    It is made when everything else is done that changes the weights before an epoch of testing,
    such as taking the averaged ones of ``EMAHook``. The model itself stays as it is.
    """

    priority = 'LOWEST'

    def before_test_epoch(self, runner: Runner) -> None:
        self._model = runner.model
        inner = self._model.module if is_model_wrapper(self._model) else self._model
        runner.model = switch_to_deploy(copy.deepcopy(inner))

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        runner.model = self._model
