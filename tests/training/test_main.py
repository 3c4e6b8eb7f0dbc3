"""The command line of the training package."""

from __future__ import annotations

import pytest

from training.__main__ import main


@pytest.mark.parametrize(
    ("command", "package", "extra"), [("tune", "scipy", "training"), ("adapt", "onnx", "adapt")]
)
def test_a_package_that_is_missing_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    package: str,
    extra: str,
) -> None:
    def absent(_name: str) -> object:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr("importlib.import_module", absent)
    assert main([command, "--help"]) == 1
    said = f"training: {package} is missing: pip install 'rainwatchd[{extra}]'\n"
    assert capsys.readouterr().err == said
