"""AWS's clean no, before anything was done: a code as AWS names it, its kind, and our own words."""

from __future__ import annotations

from ssm_reconcile.errors import Trouble


class Refusal(Exception):  # noqa: N818  it is an answer of AWS, no fault of ours
    """A request that AWS refuses. The store that met it says where, as a `StoreError`."""

    def __init__(self, code: str, reason: str, kind: Trouble = Trouble.REFUSED) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.kind = kind


def invalid(reason: str) -> Refusal:
    """The refusal that most rules end in."""
    return Refusal("ValidationException", reason)
