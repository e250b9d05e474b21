"""Every code of the library has a class, and each class is what a Python programmer expects."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import leasehold
import pytest
from leasehold import _native, errors


def test_every_code_has_a_class() -> None:
    assert set(errors.BY_CODE) == set(_native.error_codes())
    for code, kind in errors.BY_CODE.items():
        assert kind.code == code
        assert issubclass(kind, leasehold.LockError)
        assert getattr(leasehold, kind.__name__) is kind, "exported"


def test_every_reason_has_a_member() -> None:
    assert {reason.value for reason in leasehold.LostReason} == set(_native.lost_reasons())


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (leasehold.InvalidInput, ValueError),
        (leasehold.Unsupported, NotImplementedError),
        (leasehold.LockTimeout, TimeoutError),
        (leasehold.StoreUnavailable, ConnectionError),
        (leasehold.StoreFailed, OSError),
        (leasehold.ShutDown, RuntimeError),
        (leasehold.InternalError, RuntimeError),
        (leasehold.Forked, leasehold.LockLost),
    ],
)
def test_classes_are_also_builtin_ones(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=lambda kind: kind.__name__)
def test_errors_survive_a_process_boundary(kind: type[leasehold.LockError]) -> None:
    error = kind("what was wrong")
    error.name = "a"
    error.reason = leasehold.LostReason.EXPIRED
    error.retryable = True
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == "what was wrong"
    assert (copy.name, copy.reason, copy.retryable) == ("a", leasehold.LostReason.EXPIRED, True)


def test_causes_are_chained(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(leasehold.StoreFailed) as caught:
        leasehold.connect(f"sqlite://{blocked}/locks.db").ping()
    error = caught.value
    assert isinstance(error, OSError)
    assert str(blocked) in str(error), "the place is named"
    assert not error.retryable
    chain: list[BaseException] = []
    cause = error.__cause__
    while cause is not None:
        chain.append(cause)
        cause = cause.__cause__
    assert chain and all(isinstance(each, errors.Cause) for each in chain)


def test_no_class_is_missing_from_the_module() -> None:
    text = Path(errors.__file__).read_text()
    named = set(re.findall(r"^class (\w+)\(Lock", text, re.M))
    assert named == {kind.__name__ for kind in errors.BY_CODE.values()}
