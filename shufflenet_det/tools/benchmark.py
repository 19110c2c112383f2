"""Measure the speed of parts of the package on this machine.

python tools/benchmark.py input [--data DIR | --config CONFIG] [--images N] [--rounds N]
python tools/benchmark.py backbone NAME ... [--batch N ...] [--size N ...] [--threads N ...]
python tools/benchmark.py detector CONFIG ... [--peer-backbone mmpretrain] [--size HxW ...]
python tools/benchmark.py engines [--engine NAME ...] [--network NAME ...] [--detectors N ...]
python tools/benchmark.py exported DIR ... [--size HxW ... | --images FILE ...]
"""
import argparse
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from shufflenet_det.benchmark import engine_speed, exported, speed_report
from shufflenet_det.benchmark.ablation import ablated
from shufflenet_det.benchmark.detectors import find_detectors
from shufflenet_det.benchmark.input_pipeline import (
    measure_config,
    measure_detection,
    measure_input,
    reads_boxes,
    write_photos,
)
from shufflenet_det.benchmark.machine import check_device
from shufflenet_det.benchmark.measure import measure
from shufflenet_det.benchmark.networks import find_network
from shufflenet_det.benchmark.options import (
    add_backbone_options,
    add_detector_options,
    add_engine_options,
    add_exported_options,
    add_input_options,
)
from shufflenet_det.benchmark.speed import all_settings
from shufflenet_det.common.config import load_config
from shufflenet_det.common.errors import ConfigError
from shufflenet_det.common.tables import as_text

from mmengine.logging import MMLogger


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Measure the speed of parts of the package')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    command = commands.add_parser(
        'input', help='images a second and core of the input pipeline, against Pillow + torchvision'
    )
    add_input_options(command)
    command.set_defaults(run=measure_input_pipeline)

    command = commands.add_parser(
        'backbone', help='inference, deploy form and training step of backbones, side by side'
    )
    add_backbone_options(command)
    command.set_defaults(run=measure_backbones)

    command = commands.add_parser(
        'detector', help='prediction, deploy form and training step of detectors, and their parts'
    )
    add_detector_options(command)
    command.set_defaults(run=measure_detectors)

    command = commands.add_parser(
        'engines', help="exported classifiers (the paper's Table 8) and detectors in their engines"
    )
    add_engine_options(command)
    command.set_defaults(run=measure_engines)

    command = commands.add_parser(
        'exported', help='exported folders side by side: networks, engines, precisions'
    )
    add_exported_options(command)
    command.set_defaults(run=measure_exported)
    return parser.parse_args()


def measure_input_pipeline(args: argparse.Namespace) -> None:
    if args.config:
        cfg = load_config(args.config)
        measure_data = measure_detection if reads_boxes(cfg) else measure_config
        table, about = measure_data(cfg, args.images, args.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            if args.data is None:
                write_photos(Path(folder), args.images)
            table, about = measure_input(args.data or Path(folder), args.images, args.rounds)
    print(as_text([table]))
    if args.json:
        speed_report.write_json(args.json, about | dict(rows=table.rows))


def measure_backbones(args: argparse.Namespace) -> None:
    check_device(args.device)
    networks = [find_network(name, args.classifier) for name in dict.fromkeys(args.names)]
    if args.ablate:
        if len(args.mode) != 1:
            raise ConfigError('--ablate switches off what is for one mode: name it, --mode train.')
        networks = [side for network in networks for side in ablated(network, *args.mode)]
    settings = all_settings(args.batch, args.size, args.threads, args.dtype, device=args.device)
    rows = measure(
        networks, settings, args.mode, args.baseline, args.rounds, args.warmup, args.compile
    )
    what = 'Classifiers' if args.classifier else 'Backbones'
    report(args, [speed_report.speed_table(what, rows)], rows)


def measure_detectors(args: argparse.Namespace) -> None:
    check_device(args.device)
    names = list(dict.fromkeys(args.names))
    detectors = find_detectors(names, bool(args.peer_backbone), args.proposals)
    settings = all_settings(args.batch, args.size, args.threads, args.dtype, device=args.device)
    rows = measure(
        detectors, settings, args.mode, args.baseline, args.rounds, args.warmup,
        by_part=not args.no_parts,
    )  # fmt: skip
    tables = [speed_report.speed_table('Detectors', rows)]
    report(args, tables if args.no_parts else tables + speed_report.parts_tables(rows), rows)


def measure_engines(args: argparse.Namespace) -> None:
    common = args.engine, args.threads, args.rounds, args.warmup
    if args.rewrites:
        rows = engine_speed.measure_rewrites(args.network[0], args.size[0], *common)
        if not rows:
            raise ConfigError('--rewrites: none of these engines has any. Name another --engine.')
        return report(args, engine_speed.rewrite_tables(rows), rows)
    if not args.network and not args.detectors:
        raise ConfigError('--network and --detectors are both empty: there is nothing to time.')
    rows, tables = [], []
    if args.network:
        rows = engine_speed.measure_classifiers(args.network, args.size, *common)
        tables = engine_speed.classifier_tables(rows)
    if args.detectors:
        found = engine_speed.measure_detectors(args.detectors, *common)
        rows, tables = rows + found, tables + engine_speed.detector_tables(found)
    report(args, tables, rows)


def measure_exported(args: argparse.Namespace) -> None:
    rows = exported.measure_exported(
        args.folders, args.size, args.images, args.threads, args.rounds, args.warmup,
        args.metrics, args.peer,
    )  # fmt: skip
    report(args, exported.exported_tables(rows), rows, exported.plot)


def report(
    args: argparse.Namespace, tables: list, rows: list[dict], plot: Callable = speed_report.plot
) -> None:
    about = speed_report.describe_run(rows, dict(rounds=args.rounds, warmup=args.warmup))
    print(speed_report.render(tables, about, args.markdown))
    if args.json:
        speed_report.write_json(args.json, about)
    if 'plot' in args and args.plot:
        plot(rows, args.plot)


def main() -> None:
    args = parse_args()
    # MMEngine tells of each parameter how it was initialised
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    if 'mode' in args:
        args.mode = tuple(dict.fromkeys(args.mode))
    args.run(args)
