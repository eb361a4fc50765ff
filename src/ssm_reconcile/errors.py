"""What can go wrong, as values and as exceptions.

A `Finding` is trouble that a person should know of and that does not stop the run. An exception
stops it, and becomes text only in `cli`:

    ReconcileError                 anything we raise on purpose; has `remedy` and `exit_code`
    ├── SpecError                  the spec has errors: all of them, as findings
    ├── UsageError                 the command line asks for something that makes no sense
    ├── PlaceError                 a place is not what the spec says (wrong account, two that are one)
    ├── StoreError                 one call to a store failed: what kind, where, which operation
    ├── NothingPlanned             no plan could be made at all
    ├── PlanRefused                the plan is not the one that was approved
    └── Interrupted                SIGINT or SIGTERM before anything was planned
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ssm_reconcile.wording import counted

_LISTED = 30
"""Known names that a message lists."""
_COMPARED = 64
"""Characters of an unknown name that are compared with the known ones."""


class Severity(StrEnum):
    """How much a finding matters: an error is something the spec asks for and does not get."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Where:
    """A position in a spec file; lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Address(NamedTuple):
    """One parameter of a target. Without a target: of the source. Without a name: the whole place."""

    target: str
    name: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that a person should know of.

    `code` is a stable kebab-case word that documentation explains, `message` says what is wrong and
    what to do, `where` is a spec position (`file:line:column`) or `target /name`. `about` names the
    parameters or the place that the finding is about. An output that shows all of these addresses with
    their reasons leaves the finding out.
    """

    severity: Severity
    code: str
    message: str
    where: str = ""
    about: tuple[Address, ...] = ()

    def is_about(self, target: str, name: str = "") -> bool:
        """Whether this finding is about a parameter of a target, or about the whole target or source."""
        return any(one.target in ("", target) and one.name in ("", name) for one in self.about)


class ReconcileError(Exception):
    """Stops the run. `remedy` says what the reader can do about it."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class SpecError(ReconcileError):
    """The spec cannot be used; carries every error found, and the warnings after them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        count = sum(finding.severity is Severity.ERROR for finding in findings)
        super().__init__(f"the spec has {counted(count, 'error')}")
        self.findings = tuple(findings)


class UsageError(ReconcileError):
    """The command line asks for something that makes no sense (exit 64)."""

    exit_code = 64


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name on the command line that the spec does not have, with those it has."""
    from difflib import get_close_matches

    names = sorted(set(known))
    near = get_close_matches(name[:_COMPARED], names, n=1)
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(f"no {kind} is named {name!r}", f"{hint}the spec has: {listed or 'none'}")


class PlaceError(ReconcileError):
    """A place is not what the spec says: another account, or the same place twice."""


class NothingPlanned(ReconcileError):
    """No plan could be made: the source, or every target, could not be listed."""


class PlanRefused(ReconcileError):
    """The plan is not the one that was approved, or its approval is too old (exit 4)."""

    exit_code = 4


class Interrupted(ReconcileError):
    """The run was stopped by a signal (exit 130)."""

    exit_code = 130


class Trouble(StrEnum):
    """The kinds of failure that callers of a store tell apart."""

    DENIED = "denied"
    """AWS says that this identity may not do that."""
    CREDENTIALS = "credentials"
    """There are no credentials, or they are not valid (any more)."""
    UNREACHABLE = "unreachable"
    """The endpoint was never reached: nothing was done."""
    THROTTLED = "throttled"
    """A clean refusal: nothing was done, and the same call may work later."""
    LOST = "lost"
    """The answer was lost (reset, timeout, 5xx): it may have been done or not."""
    MISSING = "missing"
    """The parameter or the key does not exist."""
    EXISTS = "exists"
    """A create found the name taken."""
    KEY = "key"
    """KMS could not use the key of the parameter (`InvalidKeyId`)."""
    TYPE = "type"
    """AWS will not change the type in place (`HierarchyTypeMismatchException`)."""
    DOWNGRADE = "downgrade"
    """AWS will not turn an Advanced parameter into a Standard one."""
    TOKEN = "token"
    """A pagination token expired: the listing has to start again."""
    REFUSED = "refused"
    """AWS refused the request for another reason; the same request will not work later."""


class StoreError(ReconcileError):
    """One call to a store failed.

    Holds only what may be shown: AWS's own message is left out on purpose, since it may quote a
    value (`ux.md`: of a failed write only operation, code and our own sentence). `problem` is what is
    wrong in plain words, where the code does not say it; `action` the IAM action of a denial; `answered`
    is false when no answer arrived at all: the network or the endpoint failed.
    """

    def __init__(
        self,
        kind: Trouble,
        *,
        place: str,
        operation: str,
        code: str,
        remedy: str = "",
        problem: str = "",
        action: str = "",
        answered: bool = True,
    ) -> None:
        what = f"{problem} ({code})" if problem else code
        super().__init__(f"{operation} in {place} failed: {what}", remedy)
        self.kind = kind
        self.place = place
        self.operation = operation
        self.code = code
        self.problem = problem
        self.action = action
        self.answered = answered
