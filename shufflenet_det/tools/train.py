"""Train a detector or a classifier.

python tools/train.py CONFIG [--work-dir DIR] [--resume] [--amp] ...
"""
import argparse

from shufflenet_det.common.config import load_config
from shufflenet_det.engine import pretraining, setup, start
from shufflenet_det.engine.checkpoints import latest_checkpoint
from shufflenet_det.weights.start import started_from

from mmdet.utils import setup_cache_size_limit_of_dynamo


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a detector or a classifier')
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the total batch (GPUs x images a GPU)',
    )
    parser.add_argument(
        '--accumulate',
        type=int,
        default=1,
        metavar='N',
        help='batches for each step of the optimiser, for less memory or fewer GPUs; what the '
        'config counts in iterations takes N times as many',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from a checkpoint; without a value, from the latest in the work folder',
    )
    parser.add_argument(
        '--tensorboard', action='store_true', help='also log for TensorBoard, in the work folder'
    )
    parser.add_argument(
        '--wandb',
        nargs='?',
        const='shufflenet_det',
        metavar='PROJECT',
        help='also log to a project of Weights & Biases (default: shufflenet_det)',
    )
    setup.add_common_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    cfg = load_config(args.config, args.cfg_options)
    setup.set_work_dir(cfg, args.config, args.work_dir)
    setup.add_consistency_check(cfg)
    setup.make_resumable(cfg)
    setup.add_progress(cfg)
    setup.add_tracking(cfg, args.tensorboard, args.wandb)
    pretraining.require_pretraining(cfg)
    pretraining.require_checkpoints(cfg)
    setup.set_launcher(cfg, args.launcher, args.local_rank)
    if args.amp:
        setup.set_amp(cfg)
    if args.auto_scale_lr:
        setup.set_auto_scale_lr(cfg)
    if args.accumulate != 1:
        setup.set_accumulation(cfg, args.accumulate)
    checkpoint = latest_checkpoint(cfg.work_dir) if args.resume == 'auto' else args.resume
    nothing_to_resume = bool(args.resume) and checkpoint is None
    if checkpoint:
        cfg.resume, cfg.load_from = True, checkpoint
    runner = start.build_runner(cfg, args.config)
    if nothing_to_resume:
        runner.logger.warning(f'--resume: no checkpoint in {cfg.work_dir}, training starts anew')
    warning = None if cfg.get('resume') else pretraining.pretraining_warning(cfg)
    if warning:
        runner.logger.warning(warning)
    if note := started_from(cfg):
        runner.logger.info(note)
    runner.train()
