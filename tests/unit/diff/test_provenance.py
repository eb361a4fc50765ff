"""Whether the last writer of a replica is us."""

from __future__ import annotations

import pytest

from ssm_reconcile.diff.compare import same_writer
from tests.builders import SOMEBODY, US


@pytest.mark.parametrize(
    ("writer", "same"),
    [
        (US, True),
        ("arn:aws:sts::123456789012:assumed-role/ssm-reconcile/another", True),
        ("arn:aws:sts::123456789012:assumed-role/other/run", False),
        ("arn:aws:sts::210987654321:assumed-role/ssm-reconcile/run", False),
        ("arn:aws:iam::123456789012:user/ssm-reconcile", False),
        ("", False),
    ],
)
def test_a_writer_is_us_whatever_the_session_is_called(writer: str, *, same: bool) -> None:
    assert same_writer(writer, US) is same


def test_two_users_are_the_same_by_their_whole_name() -> None:
    assert same_writer(SOMEBODY, SOMEBODY)
    assert not same_writer(SOMEBODY + "-else", SOMEBODY)
