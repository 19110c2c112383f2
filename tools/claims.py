"""Test the paper's claims on the rendered classification sample: many small trainings, resumable.

python tools/claims.py [--work-dir work_dirs/claims] [--seeds 0 1 2] [--jobs 2]

A run that is finished is not repeated, one that was stopped goes on from its last epoch.
"""
import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from shufflenet_det.common import cli
from shufflenet_det.common.errors import DataError
from shufflenet_det.data.sample import make_classification_sample
from shufflenet_det.paper.claims import NETWORKS, Training, errors_of, train
from shufflenet_det.paper.claims_report import claims_table, networks_table, write_report

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
RECIPE = CONFIGS / 'sample' / 'claims.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Test the paper's claims on sample data")
    parser.add_argument('--work-dir', type=Path, default='work_dirs/claims', help='output folder')
    parser.add_argument('--data', type=Path, default='data/sample_classification', help='sample')
    parser.add_argument(
        '--images',
        type=int,
        nargs=2,
        default=(8000, 4000),
        metavar=('TRAIN', 'VAL'),
        help='images of the sample',
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='one run for each')
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=NETWORKS, metavar='NAME')
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='trainings at a time')
    parser.add_argument(
        '--report', action='store_true', help='train nothing, report the runs that are finished'
    )
    parser.add_argument('--recipe', type=Path, default=RECIPE, help='config of data and schedule')
    return parser.parse_args()


def train_all(waiting: list[Training], recipe: Path, jobs: int) -> None:
    """Train in fresh processes: a fork of one in which torch has threads can hang."""
    start = time.monotonic()
    context = multiprocessing.get_context('spawn')
    job = partial(train, recipe=recipe, networks=CONFIGS / 'imagenet')
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = [pool.submit(job, run) for run in waiting]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                run = future.result()
                left = (time.monotonic() - start) / done * (len(waiting) - done) / 60
                error = errors_of([run])[run.network][0]
                print(
                    f'{done}/{len(waiting)} {run.network} seed {run.seed}: '
                    f'top-1 error {error:.1f}%, about {left:.0f} min left',
                    flush=True,
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def main() -> None:
    args = parse_args()
    work_dir = cli.check_writable(args.work_dir).absolute()
    runs = [Training(name, seed, work_dir) for seed in args.seeds for name in args.networks]
    waiting = [run for run in runs if not run.result.is_file()]
    print(f'{len(runs)} runs, {len(runs) - len(waiting)} of them finished before', flush=True)
    if waiting and not args.report:
        train_images, val_images = args.images
        data = make_classification_sample(args.data, train=train_images, val=val_images)
        os.environ['SAMPLE_CLASSIFICATION_ROOT'] = str(data.absolute())
        train_all(waiting, args.recipe, args.jobs)
    errors = errors_of(runs)
    if not errors:
        raise DataError(f'no run in {work_dir} is finished: leave out --report to train.')
    write_report(errors, work_dir)
    print(f'\n{networks_table(errors)}\n\n{claims_table(errors)}\n')
    print(f'wrote {work_dir}/claims.md, claims.json and claims.png')


if __name__ == '__main__':
    cli.run(main)
