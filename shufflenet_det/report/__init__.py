"""A page for a run: figures, curves, errors, scores and the worst images, in one HTML file."""
from .page import require_reportable, write_report
from .runs import read_runs

__all__ = ['read_runs', 'require_reportable', 'write_report']
