"""Test the paper's claims on Tiny ImageNet: many small trainings, resumable, and their report.

python tools/claims.py [--data DIR] [--work-dir work_dirs/claims] [--seeds 0 1 2] [--jobs 2]
python tools/claims.py --device cuda [--jobs 4] ...
python tools/claims.py --report --records FILE ...

A run with a record is not repeated, one that was stopped goes on from its last epoch.
"""
import argparse
import fcntl
import multiprocessing
import os
import shlex
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, as_completed, wait
from contextlib import contextmanager
from pathlib import Path

from shufflenet_det.benchmark.machine import check_device
from shufflenet_det.common import cli
from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError, DataError
from shufflenet_det.common.options import not_negative, positive
from shufflenet_det.paper.claims import NETWORKS
from shufflenet_det.paper.claims_gpu import builder, stacks_of, train_on_gpu
from shufflenet_det.paper.claims_report import FILES, tables_text, write_report
from shufflenet_det.paper.claims_training import Training, train
from shufflenet_det.paper.records import (
    Record,
    append_record,
    data_of,
    read_records,
    recipe_of,
    require_recipe,
)

from mmdet.registry import DATASETS

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
RECIPE = CONFIGS / 'tiny_imagenet' / 'claims.py'
RECORDS = 'records.jsonl'
# seconds between two looks at the runs
LOOK = 30
MOST_IN_A_STACK = 6


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Test the paper's claims on Tiny ImageNet")
    parser.add_argument('--data', type=Path, help='data set; by default $TINY_IMAGENET_ROOT')
    parser.add_argument('--work-dir', type=Path, default='work_dirs/claims', help='output folder')
    parser.add_argument(
        '--seeds', type=not_negative, nargs='+', default=[0, 1, 2], help='one run for each'
    )
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=NETWORKS, metavar='NAME')
    parser.add_argument('--jobs', type=positive, default=os.cpu_count(), help='trainings at a time')
    parser.add_argument(
        '--device', choices=('cpu', 'cuda'), default='cpu',
        help='cuda: networks of one architecture train as one, several such stacks at a time',
    )  # fmt: skip
    parser.add_argument('--recipe', type=Path, default=RECIPE, help='config of data and schedule')
    parser.add_argument(
        '--records', type=Path, nargs='+', metavar='FILE',
        help='finished runs; the first file gets new ones (default: records.jsonl in the output '
        'folder)',
    )  # fmt: skip
    parser.add_argument(
        '--report', action='store_true', help='train nothing, report the runs that are finished'
    )
    return parser.parse_args()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two tools in one folder would train the same runs."""
    with open(folder / '.lock', 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f'another tools/claims.py trains in {folder}: wait for it, or choose another '
                '--work-dir.'
            ) from None
        yield


def command_of(training: Training, args: argparse.Namespace) -> str:
    """What repeats one training."""
    words = ['python', 'tools/claims.py', '--networks', training.network]
    words += ['--seeds', str(training.seed)]
    if args.recipe != RECIPE:
        words += ['--recipe', str(args.recipe)]
    return shlex.join(words)


def train_all(waiting: list[Training], args: argparse.Namespace, epochs: int) -> None:
    """Train in fresh processes, and record each run as it ends."""
    # not forks, which can hang where torch has threads
    context = multiprocessing.get_context('spawn')
    before = sum(training.epochs_done() for training in waiting)
    start, shown = time.monotonic(), None
    failed: list[str] = []
    with ProcessPoolExecutor(args.jobs, mp_context=context) as pool:
        futures = {
            pool.submit(
                train, training, args.recipe, CONFIGS / 'imagenet', command_of(training, args),
                os.getpid(),
            ): training
            for training in waiting
        }
        left = set(futures)
        while left:
            done, left = wait(left, timeout=LOOK, return_when=FIRST_COMPLETED)
            for future in done:
                if error := future.exception():
                    training = futures[future]
                    name = f'{training.network} seed {training.seed}'
                    failed.append(f'{name}: {cli.message_of(error)}')
                    print(f'failed: {failed[-1]} (log: {training.folder}/console.log)', flush=True)
                else:
                    record_run(future.result(), args)
            counts = {training: training.epochs_done() for training in futures.values()}
            if left and counts != shown:
                shown = counts
                state = progress(counts, epochs, before, time.monotonic() - start)
                print(f'{len(left)} of {len(waiting)} runs left{state}', flush=True)
    if failed:
        raise DataError(f'{len(failed)} of {len(waiting)} runs failed, the first was {failed[0]}')


def train_stacks(waiting: list[Training], args: argparse.Namespace) -> None:
    """Train stacks of networks on the GPU, each in a fresh process, and record its runs."""
    check_device(args.device)
    networks = CONFIGS / 'imagenet'
    stacks = stacks_of(waiting, builder(args.recipe, networks), MOST_IN_A_STACK)
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(min(args.jobs, len(stacks)), mp_context=context) as pool:
        futures = [pool.submit(train_on_gpu, stack, args.recipe, networks) for stack in stacks]
        for done, future in enumerate(as_completed(futures), start=1):
            for record in future.result():
                record_run(record, args)
            print(f'{len(stacks) - done} of {len(stacks)} stacks left', flush=True)


def record_run(record: Record, args: argparse.Namespace) -> None:
    append_record(args.records[0], record)
    print(
        f'{record.network} seed {record.seed}: top-1 error {record.top1_error:.1f}%, '
        f'in training {record.train_top1_error:.1f}%',
        flush=True,
    )
    report(args, read_records(existing(args.records)))


def progress(counts: dict[Training, int], epochs: int, before: int, seconds: float) -> str:
    """What is being trained, and about how long the rest will take, counted in epochs."""
    running = [
        f'{training.network} seed {training.seed} {count}/{epochs}'
        for training, count in counts.items()
        if 0 < count < epochs
    ]
    done = sum(counts.values()) - before
    rest = epochs * len(counts) - sum(counts.values())
    hours = f', about {seconds / done * rest / 3600:.1f} h' if done > 0 else ''
    return f'{hours}; epochs: {", ".join(running)}' if running else hours


def existing(paths: list[Path]) -> list[Path]:
    """The files of records; the first may be yet to come."""
    return [path for path in paths if path != paths[0] or path.is_file()]


def report(args: argparse.Namespace, records: list[Record]) -> None:
    if not records:
        raise DataError(f'no run in {args.records[0]} is finished: leave out --report to train.')
    write_report(records, args.work_dir)


def main() -> None:
    args = parse_args()
    args.work_dir = cli.check_writable(args.work_dir).absolute()
    args.records = args.records or [args.work_dir / RECORDS]
    if args.report:
        records = read_records(existing(args.records))
    else:
        if args.data:
            os.environ['TINY_IMAGENET_ROOT'] = str(args.data.absolute())
        records = train_what_is_missing(args)
    report(args, records)
    print(f'\n{tables_text(records)}\nwrote {", ".join(FILES)} in {args.work_dir}')


def train_what_is_missing(args: argparse.Namespace) -> list[Record]:
    cfg = load_config(str(args.recipe))
    recipe = recipe_of(cfg)
    records = read_records(existing(args.records))
    require_recipe(records, recipe, data_of(cfg))
    finished = {record.key for record in records}
    # each once, however often it is named
    trainings = list(dict.fromkeys(
        Training(name, seed, args.work_dir) for seed in args.seeds for name in args.networks
    ))
    waiting = [t for t in trainings if (t.network, t.seed) not in finished]
    before = len(trainings) - len(waiting)
    print(f'{len(trainings)} runs, {before} of them finished before', flush=True)
    if waiting:
        # read and, for all that follow, decode the data once
        for split in ('train', 'val'):
            DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        with alone(args.work_dir):
            if args.device == 'cuda':
                train_stacks(waiting, args)
            else:
                train_all(waiting, args, recipe['epochs'])
    return read_records(existing(args.records))


if __name__ == '__main__':
    cli.run(main)
