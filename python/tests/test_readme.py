"""The programs of the README run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import run

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)


def test_there_are_programs() -> None:
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("program", BLOCKS, ids=range(len(BLOCKS)))
def test_it_runs(program: str, tmp_path: Path) -> None:
    code, _, err = run(program, env={"LEASEHOLD_URL": f"sqlite://{tmp_path}/locks.db"})
    assert (code, err) == (0, "")
