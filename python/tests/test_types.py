"""The types that users see are true, and they are in the package."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import resources
from pathlib import Path

import leasehold
import pytest

PYTHON = Path(__file__).parent.parent


def check(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=PYTHON, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_is_typed_throughout() -> None:
    check("mypy", "--strict", "python/leasehold", "tests/typed.py")


def test_the_stub_of_the_native_half_is_true() -> None:
    check("mypy.stubtest", "leasehold._native", "--mypy-config-file", "pyproject.toml")


def test_the_marker_is_there() -> None:
    assert resources.files(leasehold).joinpath("py.typed").is_file()


def test_every_public_name_is_documented() -> None:
    for name in leasehold.__all__:
        public = getattr(leasehold, name)
        assert public.__doc__, name
        if not isinstance(public, type):
            continue
        for attribute, value in vars(public).items():
            if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, f"{name}.{attribute}"


def test_asyncio_is_not_imported_without_need() -> None:
    """A script that takes one lock need not pay for it."""
    program = """
import sys, leasehold
with leasehold.connect("memory://").lock("a"): pass
assert "asyncio" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="asks the wheel of this build")
def test_the_wheel_has_everything(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "maturin", "build", "--profile", "dev", "--out", str(tmp_path)],
        cwd=PYTHON,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert "abi3" in wheel.name
    files = set(zipfile.ZipFile(wheel).namelist())
    assert {"leasehold/py.typed", "leasehold/_native.pyi", "leasehold/__init__.py"} <= files
    assert any(name.startswith("leasehold/_native.") and name.endswith(".so") for name in files)
    assert not [name for name in files if "test" in name]
