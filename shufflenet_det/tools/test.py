"""Test a detector or a classifier.

python tools/test.py CONFIG CHECKPOINT [--out FILE] [--show-dir DIR] ...
python tools/test.py CONFIG EXPORTED_DIR [--engine ENGINE] ...
"""
import argparse
from pathlib import Path

from shufflenet_det.common import cli
from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.engine import DeployHook, setup, start
from shufflenet_det.evaluation import CheckedCocoMetric, TopKError
from shufflenet_det.evaluation.report import write_metrics
from shufflenet_det.export import ENGINES, is_exported, use_exported
from shufflenet_det.report import require_reportable, write_report

import numpy as np
from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.dist import is_main_process
from mmengine.runner import Runner


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model and write metrics.json')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', help='checkpoint file or URL, or a folder that tools/export.py made'
    )
    parser.add_argument(
        '--engine', choices=ENGINES,
        help='what runs an exported network; by default the first that it was exported for',
    )  # fmt: skip
    parser.add_argument('--work-dir', help='folder for metrics.json and logs')
    parser.add_argument(
        '--out',
        help='keep the results: FILE.json as a COCO result file (of a classifier, the five best '
        'classes of each image), FILE.pkl as MMDetection has it',
    )
    parser.add_argument('--show-dir', help='folder for pictures, ground truth beside detections')
    parser.add_argument(
        '--fuse-conv-bn',
        action='store_true',
        help='test the deploy form: batch norms and what follows folded into the convolutions, '
        'which is faster and gives the same results up to rounding',
    )
    parser.add_argument(
        '--report',
        action='store_true',
        help='also write report.html to the work folder, a page to look at: docs/report.md',
    )
    setup.add_common_arguments(parser)
    args = parser.parse_args()
    if args.out and Path(args.out).suffix not in ('.json', '.pkl', '.pickle'):
        parser.error(f'--out {args.out}: the file name must end in .json or .pkl')
    args.exported = is_exported(args.checkpoint)
    if args.exported and args.fuse_conv_bn:
        parser.error('--fuse-conv-bn: an exported network has its batch norms folded in already')
    if args.exported and args.launcher != 'none':
        parser.error('--launcher: an exported network is tested in one process')
    if args.engine and not args.exported:
        parser.error(f'--engine {args.engine}: {args.checkpoint} is no folder of tools/export.py')
    args.show, args.wait_time = False, 0  # read by MMDetection's trigger_visualization_hook
    return args


def keep_results(runner: Runner, out: str) -> None:
    """Have the evaluation leave its results in ``out``."""
    cli.check_writable(Path(out).absolute().parent, '--out')
    if Path(out).is_dir():
        raise ConfigError(f'--out {out} is a folder: name a file.')
    if not out.endswith('.json'):
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=out))
        return
    metric = own_metric(runner)
    if metric is None:
        raise ConfigError(
            '--out FILE.json needs test_evaluator.type=CheckedCocoMetric; use FILE.pkl instead.'
        )
    metric.keep_results(out)


def own_metric(runner: Runner) -> CheckedCocoMetric | TopKError | None:
    metrics = runner.test_evaluator.metrics
    return next((m for m in metrics if isinstance(m, (CheckedCocoMetric, TopKError))), None)


def milliseconds_per_image(runner: Runner) -> float | None:
    """Median over the batches of the test, with reading and post-processing."""
    times = runner.message_hub.log_scalars.get('test/time')
    if times is None or not len(times.data[0]):
        return None
    return 1000 * float(np.median(times.data[0])) / (runner.test_dataloader.batch_size or 1)


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    cfg = load_config(args.config, args.cfg_options)
    setup.set_work_dir(cfg, args.config, args.work_dir)
    setup.add_consistency_check(cfg)
    setup.set_launcher(cfg, args.launcher, args.local_rank)
    classifier = setup.is_classifier(cfg)
    if args.exported:
        use_exported(cfg, args.checkpoint, args.engine)
    else:
        cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.show_dir:
        if classifier:
            raise ConfigError('--show-dir draws boxes and a classifier has none: use --out.')
        # an absolute path, because the hook joins anything else to the work folder at each image
        args.show_dir = str(cli.check_writable(args.show_dir, '--show-dir').absolute())
        trigger_visualization_hook(cfg, args)
        if cfg.default_hooks.visualization.type == 'DetVisualizationHook':
            cfg.default_hooks.visualization.type = 'ShowHook'
    runner = start.build_runner(cfg, args.config)
    if args.exported:
        runner.model.check_classes(runner.test_dataloader.dataset)
    if args.out:
        keep_results(runner, args.out)
    results = args.out if args.out and args.out.endswith('.json') else None
    if args.report:
        results = results or str(Path(cfg.work_dir, 'results.json'))
        require_reportable(own_metric(runner))
        keep_results(runner, results)
    if args.fuse_conv_bn:
        runner.register_hook(DeployHook())
    metrics = runner.test()
    if not is_main_process():
        return
    metric = own_metric(runner)
    if metric is not None:
        print(metric.table(metrics))
    path = Path(cfg.work_dir, 'metrics.json')
    dataset = runner.test_dataloader.dataset
    engine = runner.model.engine if args.exported else None
    write_metrics(
        path, cfg, args.config, args.checkpoint, metrics, metric, dataset, engine, results,
        milliseconds_per_image(runner),
    )  # fmt: skip
    print(f'wrote {path}' + (f' and {args.out}' if args.out else ''))
    if args.report:
        print(f'look at {write_report([cfg.work_dir], Path(cfg.work_dir, "report.html"))}')
