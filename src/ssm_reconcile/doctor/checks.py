"""The checks of a diagnosis: the result of each, and whether plan and apply depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """The result of a check. UNKNOWN is not a failure: the check could not be made."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Needed(StrEnum):
    """The command that fails when the check fails."""

    PLAN = "plan"
    APPLY = "apply"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `where` is `the source`, `target NAME` or a position in the spec."""

    where: str
    subject: str
    answer: Answer
    message: str
    remedy: str = ""
    needed: Needed = Needed.NOTHING


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, in the order in which they were made."""

    checks: tuple[Check, ...]

    @property
    def plan_works(self) -> bool:
        """Whether no check failed that a plan needs."""
        return not any(one.answer is Answer.FAILED and one.needed is Needed.PLAN for one in self.checks)

    @property
    def apply_works(self) -> bool:
        """Whether no check failed that an apply needs. Write permissions are not tested."""
        return not any(
            one.answer is Answer.FAILED and one.needed is not Needed.NOTHING for one in self.checks
        )

    @property
    def exit_code(self) -> int:
        """0 plan and apply work, 3 only a plan works, 1 a plan does not work."""
        if not self.plan_works:
            return 1
        return 0 if self.apply_works else 3
