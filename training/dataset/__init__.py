"""Labelled recordings: where they come from, which may be used, and how they are divided.

A manifest or folders come in; clips with label, licence and recording go out.
"""

from training.dataset.clip import (
    LABELS,
    LICENCES,
    Clip,
    DataError,
    check_present,
    check_readable,
    digest,
    load,
    publishable,
)
from training.dataset.layouts import read
from training.dataset.manifest import read_manifest
from training.dataset.screen import screened
from training.dataset.split import folds, split_by_recording

__all__ = [
    "LABELS",
    "LICENCES",
    "Clip",
    "DataError",
    "check_present",
    "check_readable",
    "digest",
    "folds",
    "load",
    "publishable",
    "read",
    "read_manifest",
    "screened",
    "split_by_recording",
]
