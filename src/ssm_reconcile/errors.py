"""Problems as values and as exceptions.

A `Finding` reports a problem and does not stop the run. An exception stops the run, and becomes text only
in `cli`:

    ReconcileError                 every expected error; has `remedy` and `exit_code`
    ├── SpecError                  the spec has errors: all of them, as findings
    ├── UsageError                 the command line is wrong or contradicts itself
    ├── PlaceError                 a place is not the one of the spec (wrong account, two places that are one)
    ├── StoreError                 one call to a store failed: kind, place, operation
    ├── NothingPlanned             no plan could be made
    ├── PlanRefused                the plan is not the one that was approved
    └── Interrupted                SIGINT or SIGTERM before anything was planned
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from ssm_reconcile.wording import did_you_mean, nearest, plural

_LISTED = 30
"""Known names that a message lists."""


class Severity(StrEnum):
    """The severity of a finding; an error is a part of the spec that is not fulfilled."""

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


@dataclass(frozen=True, slots=True)
class Remedy:
    """The ways to let the changes of a finding through: a flag and, unless it is for all targets, a lift.

    Attributes:
        flag: The arguments that lift the guard, such as `--max-deletes 12`.
        guard: The guard.
        target: The target of the lift; empty for a guard on all targets, which no lift lifts.
        count: The number of changes that are withheld.
        changes: The digest of these changes, for the lift; empty without a target.
    """

    flag: str
    guard: str
    target: str
    count: int
    changes: str


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A problem or a notice that does not stop the run.

    Attributes:
        severity: An error is a part of the spec that is not fulfilled.
        code: A stable kebab-case word; docs/troubleshooting.md explains each.
        message: What is wrong and what to do.
        where: A position in a spec (`file:line:column`), or `target /name`.
        about: The parameters or the place that the finding is about. An output that shows all of these
            addresses with their reasons leaves the finding out.
        remedy: For the finding of a guard that can be lifted, the ways to lift it. The message does not
            have them: an output shows the one that fits.
    """

    severity: Severity
    code: str
    message: str
    where: str = ""
    about: tuple[Address, ...] = ()
    remedy: Remedy | None = field(default=None, compare=False)

    def is_about(self, target: str, name: str = "") -> bool:
        """Whether this finding is about a parameter of a target, or about the whole target or source."""
        return any(one.target in ("", target) and one.name in ("", name) for one in self.about)


class ReconcileError(Exception):
    """An error that stops the run: `message` says where and what, `remedy` what to do."""

    exit_code = 1
    finding_code = "error"
    """The code of the finding in the report of a run that this error stopped."""
    findings: tuple[Finding, ...] = ()
    """The single faults, for an error that has several."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class SpecError(ReconcileError):
    """The spec cannot be used; carries every error found, and the warnings after them."""

    finding_code = "spec"

    def __init__(self, findings: Sequence[Finding]) -> None:
        count = sum(finding.severity is Severity.ERROR for finding in findings)
        super().__init__(f"the spec has {plural(count, 'error')}")
        self.findings = tuple(findings)


class UsageError(ReconcileError):
    """The command line is wrong or contradicts itself (exit 64)."""

    exit_code = 64


def unknown_name(kind: str, name: str, known: Iterable[str], listing: str = "the spec has") -> UsageError:
    """Return the error for an unknown name on the command line, with the most similar and all known names.

    Args:
        kind: The kind of name, such as `target`.
        name: The name that was given.
        known: The valid names.
        listing: The words before the list of them.
    """
    names = sorted(set(known))
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    hint = did_you_mean(nearest(name, names))
    return UsageError(f"no {kind} is named {name!r}", f"{hint} {listing}: {listed or 'none'}".lstrip())


class PlaceError(ReconcileError):
    """A place is not what the spec says: another account, or the same place twice."""

    finding_code = "wrong-place"


class NothingPlanned(ReconcileError):
    """No plan could be made: the source, or every target, could not be listed."""

    finding_code = "nothing-planned"


class PlanRefused(ReconcileError):
    """The plan is not the one that was approved, or its approval is too old (exit 4)."""

    exit_code = 4
    finding_code = "plan-refused"


class Interrupted(ReconcileError):
    """The run was stopped by a signal (exit 130)."""

    exit_code = 130
    finding_code = "interrupted"


class Trouble(StrEnum):
    """The kinds of failure that callers of a store distinguish."""

    DENIED = "denied"
    """The identity has no permission."""
    CREDENTIALS = "credentials"
    """There are no credentials, or they are not valid."""
    UNREACHABLE = "unreachable"
    """The endpoint was not reached: nothing was done."""
    THROTTLED = "throttled"
    """AWS refused the request: nothing was done, and the same call may succeed later."""
    LOST = "lost"
    """The response was lost (reset, timeout, 5xx): the operation may have been done or not."""
    MISSING = "missing"
    """The parameter or the key does not exist."""
    EXISTS = "exists"
    """A parameter with that name exists already."""
    KEY = "key"
    """KMS could not use the key of the parameter (`InvalidKeyId`)."""
    TYPE = "type"
    """AWS cannot change the type in place (`HierarchyTypeMismatchException`)."""
    DOWNGRADE = "downgrade"
    """AWS cannot turn an Advanced parameter into a Standard one."""
    TOKEN = "token"
    """A pagination token has expired: the listing must start again."""
    REFUSED = "refused"
    """AWS refused the request for another reason; the same request fails later, too."""

    @property
    def is_outage(self) -> bool:
        """Whether the failure says nothing about the parameter: the place, or the way to it, fails."""
        return self in _OUTAGES


_OUTAGES = frozenset(
    {Trouble.CREDENTIALS, Trouble.UNREACHABLE, Trouble.THROTTLED, Trouble.LOST, Trouble.TOKEN}
)


class StoreError(ReconcileError):
    """One call to a store failed.

    It contains no message of AWS, since AWS may quote a value in it.

    Args:
        kind: The kind of failure.
        place: Account and region, or the region alone.
        operation: The operation of the AWS API.
        code: The error code of AWS, or the type of a network error.
        remedy: What to do.
        problem: What is wrong, where the code does not say it.
        action: The IAM action of a denial.
        answered: False when no response arrived: the network or the endpoint failed.
    """

    finding_code = "no-access"

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
