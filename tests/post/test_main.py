"""The command ``rainwatch-post`` itself."""

from __future__ import annotations

import sys

import pytest

from rainwatchd.post.main import main


def test_a_package_that_is_missing_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "rainwatchd.post.web.accounts", raising=False)
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    assert main([]) == 1
    said = "rainwatch-post: itsdangerous is missing: pip install 'rainwatchd[post]'\n"
    assert capsys.readouterr().err == said
