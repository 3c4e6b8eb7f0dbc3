"""Imports run one way: the folder listing is the flow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[1] / "rainwatchd"

LAYERS = (
    {"errors", "whole"},
    {"audio"},
    {"hearing"},
    {"decision"},
    {"alerts", "clips"},
    {"config"},
    {"service", "replay", "post"},
    {"cli"},
)
"""From the lowest up; those of one layer do not know each other."""


def layer(part: str) -> int:
    return next(depth for depth, parts in enumerate(LAYERS) if part in parts)


def imported(source: str) -> Iterator[str]:
    """Name the parts of the runtime that `source` imports, wherever in it that stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, *rest = name.split(".")
            if package == "rainwatchd" and rest and rest[0] != "__version__":
                yield rest[0]
            elif package == "training":
                yield package


@pytest.mark.parametrize("path", sorted(RUNTIME.rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_imports_nothing_from_above_it(path: Path) -> None:
    part = path.relative_to(RUNTIME).parts[0].removesuffix(".py")
    if part == "__init__":
        assert not list(imported(path.read_text()))
        return
    for other in imported(path.read_text()):
        assert other == part or layer(other) < layer(part), f"{path} imports {other}"
