"""Variables of the environment -> the end of the credentials, and a request to stop five minutes before it.

AWS_CREDENTIAL_EXPIRATION holds the end: `aws configure export-credentials --format env` prints it, and
botocore reads it (`botocore.credentials.EnvProvider`). Credentials of a profile, a role or a container renew
themselves, so they have no end here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ssm_reconcile.cli import terminal
from ssm_reconcile.errors import Finding, ReconcileError, Severity, UsageError
from ssm_reconcile.report import Report
from ssm_reconcile.system import Clock, Stop
from ssm_reconcile.wording import utc_text

VARIABLE = "AWS_CREDENTIAL_EXPIRATION"
MARGIN = timedelta(minutes=5)
"""Time before the end in which no change begins: those in flight are retried and verified in it."""
CODE = "credentials-end"


class CredentialsEndError(ReconcileError):
    """The credentials have ended, or end too soon for a write (exit 1)."""

    finding_code = CODE


def read_end(environment: Mapping[str, str], profile: str | None) -> datetime | None:
    """Return the end of session credentials in the environment; None if there is none, or it is unknown.

    Args:
        environment: The variables of the process.
        profile: The value of `--profile`, which botocore prefers to credentials in the environment.

    Raises:
        UsageError: The variable is not a time with a zone; botocore could not use the credentials either.
    """
    token = environment.get("AWS_SESSION_TOKEN") or environment.get("AWS_SECURITY_TOKEN")
    text = environment.get(VARIABLE)
    if profile is not None or not (token and text and environment.get("AWS_ACCESS_KEY_ID")):
        return None
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        end = None
    if end is None or end.tzinfo is None:
        message = f"{VARIABLE} is not a time in the format of ISO 8601 with a zone"
        raise UsageError(message, "set it as in 2026-11-29T12:55:00Z, or remove it")
    return end.astimezone(UTC)


@dataclass(slots=True)
class SessionStop:
    """A request to stop: by a signal, or by the end of the credentials.

    Attributes:
        signals: The request by a signal.
        clock: The clock.
        end: The end of the credentials; None for none.
        is_ending: Whether the end of the credentials stopped the run.
    """

    signals: Stop
    clock: Clock
    end: datetime | None
    is_ending: bool = False

    def is_set(self) -> bool:
        """Whether the run was asked to stop. After the first request, it stays so."""
        if not self.signals.is_set() and self._ends_soon():
            self.is_ending = True
        return self.is_ending or self.signals.is_set()

    def check(self) -> None:
        """Check that there is time to write.

        Raises:
            CredentialsEndError: The credentials have ended, or end in less than five minutes.
        """
        if self.end is not None and self._ends_soon():
            verb = "ended" if self.clock.now() >= self.end else "end in less than five minutes,"
            raise CredentialsEndError(
                f"the credentials {verb} at {utc_text(self.end)}: nothing was changed",
                "get new credentials, and run it again",
            )

    def add_finding(self, report: Report) -> Report:
        """Return the report, with a finding if the end of the credentials stopped its run; log that."""
        if self.end is None or not self.is_ending:
            return report
        message = f"stopped five minutes before the credentials end at {utc_text(self.end)}: run it again"
        terminal.log(f"{message.capitalize()}.")
        finding = Finding(Severity.ERROR, CODE, message)
        return replace(report, findings=(*report.findings, finding))

    def _ends_soon(self) -> bool:
        return self.end is not None and self.clock.now() >= self.end - MARGIN
