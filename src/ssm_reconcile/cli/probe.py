"""`ssm-reconcile doctor --probe`: the rates and the open facts of one account, measured on an empty path."""

from __future__ import annotations

import os
import secrets
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile.cli import command_run, terminal
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.progress import log_opening
from ssm_reconcile.cli.session_end import SessionStop, read_end
from ssm_reconcile.cli.signals import SignalStop
from ssm_reconcile.errors import UsageError, unknown_name
from ssm_reconcile.skip_sync import SkipSync
from ssm_reconcile.spec import Run
from ssm_reconcile.wording import plural

if TYPE_CHECKING:
    from ssm_reconcile.cli.command_run import Runner
    from ssm_reconcile.doctor.probe import ProbeReport
    from ssm_reconcile.doctor.probe_calls import ProbeCalls
    from ssm_reconcile.model import Access, Place
    from ssm_reconcile.spec import Replication
    from ssm_reconcile.stores.base import RequestStore, Settings

MASKED = "************"
"""Replaces the account id in the JSON, so that it can be shared."""
_PRICE = "0.05 USD for 10,000 requests"
_NOTICE = (
    "\nStopping: the parameters of the probe are deleted. Ctrl-C again ends at once and lists the rest.\n"
)
_WIDTH = 100
"""Columns of the text. Names are not broken."""
_DELETED_LATER = "A probe of this path deletes them, from ten minutes after their last change on."


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """The options of a probe: the path, the account, and the consent to write there."""

    path: str | None
    account: str | None
    has_consent: bool

    def is_wanted(self, *, has_others: bool) -> bool:
        """Whether a probe is wanted. `has_others`: the command has options that exclude a probe.

        Raises:
            click.UsageError: The options contradict each other.
        """
        if self.path is None:
            if self.account is not None or self.has_consent:
                raise click.UsageError("--account and --yes-write-here are for --probe PATH.")
            return False
        if has_others:
            raise click.UsageError("--probe checks no replication: leave out --github, --no-decrypt.")
        if self.account is None:
            raise click.UsageError("--probe needs --account ID: the account of your credentials.")
        if len(self.account) != len(MASKED) or not (self.account.isascii() and self.account.isdigit()):
            raise click.UsageError("--account is not an account id: write its 12 digits.")
        return True


class _ForcedExit:
    """Ends the process at the second Ctrl-C, and names the parameters that may remain."""

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self.calls: ProbeCalls | None = None
        self._leave = leave

    def __call__(self, code: int) -> None:
        if self.calls is not None:
            # Past the buffers of Python: the signal may have come in the middle of a write.
            os.write(2, remaining_text(self.calls.may_remain()).encode())
        self._leave(code)


def remaining_text(names: Sequence[str]) -> str:
    """Return the names that may remain after an interrupted clean-up, and how to delete them."""
    lines = [f"The clean-up was interrupted. {plural(len(names), 'parameter')} may remain:"]
    lines += [f"  {name}" for name in names]
    return "\n".join([*lines, _DELETED_LATER, ""])


def run(
    given: ProbeOptions,
    specs: tuple[str, ...],
    name: str | None,
    targets: tuple[str, ...],
    output_format: str,
    common: CommonOptions,
) -> int:
    """Probe one place, write the report and return the exit code.

    Args:
        given: The options of the probe.
        specs: The spec files as they were given.
        name: The only replication whose targets count; None for all.
        targets: The target to probe, at most one.
        output_format: `text` or `json`.
        common: The options of all commands.

    Raises:
        UsageError: The probe is refused; nothing was written.
        StoreError: The place could not be opened.
    """
    from ssm_reconcile.doctor import probe

    path, account = given.path or "", given.account or ""
    probe.check_path(path)
    access, replications = _choose_place(specs, name, targets, account, common)
    overlap = probe.find_overlap(path, replications, account)
    if overlap is not None:
        raise UsageError(f"--probe {path} overlaps the include {overlap}", "give another path")
    leave = _ForcedExit()
    with command_run.start_runner(replications, Run(), common, SignalStop(leave)) as runner:
        log_opening([access], common)
        store = runner.connect(access)
        if store.place.account != account:
            message = f"--account is {account}, and the credentials are for {store.place.account}"
            raise UsageError(message, "nothing was read or written: use credentials of the account")
        settings = store.settings()
        terminal.log(expectation_text(store.place, path, settings))
        if not given.has_consent:
            remedy = "add --yes-write-here to create and delete these parameters"
            raise UsageError("nothing was written: the consent is missing", remedy)
        report = _probe(runner, store, path, settings, leave)
    terminal.write(json_text(report) if output_format == "json" else text(report))
    return report.exit_code


def _probe(
    runner: Runner, store: RequestStore, path: str, settings: Settings, leave: _ForcedExit
) -> ProbeReport:
    """Run the probe; the first signal begins the clean-up, the second one calls `leave`.

    It also stops five minutes before session credentials end, since the clean-up needs them.
    """
    from concurrent.futures import ThreadPoolExecutor

    from ssm_reconcile.doctor.probe import run_probe
    from ssm_reconcile.doctor.probe_calls import ProbeArea, ProbeCalls

    skip_tags = dict.fromkeys((SkipSync().tag, *(spec.skip_sync.tag for spec in runner.specs)))
    area = ProbeArea(path, secrets.token_hex(6), tuple(skip_tags))
    stop = SessionStop(runner.stop, runner.clock, read_end(os.environ, runner.common.profile))
    stop.check()
    leave.calls = calls = ProbeCalls(store, area, runner.clock, stop)
    note: Callable[[str], object] = (lambda _: None) if runner.common.quiet else terminal.log_line
    with runner.stop.finish_gently(_NOTICE):
        report = run_probe(
            calls, store.place, high_throughput=settings.high_throughput,
            executor=ThreadPoolExecutor, note=note,
        )  # fmt: skip
    leave.calls = None
    if stop.is_ending:
        terminal.log("Stopped five minutes before the credentials end: get new ones, and run it again.")
    return report


def _choose_place(
    specs: tuple[str, ...], name: str | None, targets: tuple[str, ...], account: str, common: CommonOptions
) -> tuple[Access, tuple[Replication, ...]]:
    """Return the place to probe, and all replications of the spec; without a spec, the configured region.

    Raises:
        UsageError: No place, or more than one, is chosen.
    """
    from ssm_reconcile.model import Access
    from ssm_reconcile.stores.session import configured_region

    if not specs and not Path(DEFAULT_SPEC).exists():
        region = configured_region(common.profile)
        if name or targets:
            raise UsageError("--probe: --name and --target need a spec", f"there is none at {DEFAULT_SPEC}")
        if region is None:
            raise UsageError("--probe: the region is not known", "set AWS_REGION, or give a spec")
        return Access(region), ()
    every = command_run.load_specs(specs, None)
    if name is not None and name not in {spec.name for spec in every}:
        raise unknown_name("replication", name, (spec.name for spec in every))
    known = [target for spec in every if name in {None, spec.name} for target in spec.targets]
    chosen = [target for target in known if not targets or target.name in targets]
    if not chosen:
        raise unknown_name("target", targets[0], (target.name for target in known))
    if len({target.access for target in chosen}) > 1 or len(targets) > 1:
        names = ", ".join(sorted({target.name for target in chosen}))
        raise UsageError("--probe takes one target", f"choose it with --target NAME: {names}")
    for target in chosen:
        if target.account not in {None, account}:
            raise UsageError(f"--account is {account}, and target {target.name} is in {target.account}")
        if target.frozen:
            raise UsageError(f"target {target.name} is frozen: nothing is written there")
    return chosen[0].access, every


def expectation_text(place: Place, path: str, settings: Settings) -> str:
    """Return the requests, events and cost to expect.

    Args:
        place: The place of the probe.
        path: The path of the probe.
        settings: The service settings of the place.
    """
    from ssm_reconcile.doctor.probe import expect
    from ssm_reconcile.doctor.probe_calls import MOST_PARAMETERS, PROBE_SECONDS, PROBE_TAG, READS_PER_SECOND

    found = expect()
    throughput = {
        True: f"higher throughput is on: each request is billed ({_PRICE})",
        False: "higher throughput is off: requests are free",
        None: f"higher throughput could not be read; if it is on: {_PRICE}",
    }[settings.high_throughput]
    return f"""\
Probe of {place} below {path}/, at most {PROBE_SECONDS / 60:.0f} minutes:
  parameters  at most {found.creates} (limit {MOST_PARAMETERS}) are created and deleted;
              at most {found.updates} updates; Standard, String or StringList, no KMS key
  tags        skip_sync and {PROBE_TAG}, with at most {found.tag_changes} changes
  events      at most {found.events} `Parameter Store Change` and {found.tag_events} `Tag Change on Resource`
              on the event bus of the region, and those of deleted leftovers;
              at most {found.requests} requests, each an event of CloudTrail
  cost        Standard parameters are free;
              {throughput}
  others      They share the quotas: some of their requests may be throttled.
              Reads are at most {READS_PER_SECOND} a second.
  clean-up    At the end, and after Ctrl-C. Leftovers of a crash are deleted by a probe of the path
              from ten minutes later on.
"""


def text(report: ProbeReport) -> str:
    """Return the measured rates, the answers, the `rates` for the spec, and what remains."""
    from ssm_reconcile.renderers.escaping import LINE_LIMIT, visible

    created = plural(report.created, "parameter")
    lines = [
        f"{report.place}, {report.area.prefix}: {report.end.value} after {report.seconds:.0f} s, {created}",
        *_rate_lines(report),
        *_fact_lines(report),
        *_spec_lines(report),
        *_remains_lines(report),
    ]
    return "\n".join(chain.from_iterable(map(_wrap, (visible(line, LINE_LIMIT) for line in lines))))


def _wrap(line: str) -> list[str]:
    """Return the lines of a text of any length."""
    indent = " " * 8
    return textwrap.wrap(
        line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [line]


def _rate_lines(report: ProbeReport) -> Iterator[str]:
    yield from ("", "Rates (calls a second without throttling; burst in calls without a pause)")
    for one in report.rates:
        burst = "-" if one.burst is None else f"{one.burst}{'' if one.burst_is_limit else ' or more'}"
        if one.sustained is None:
            rate = f"not measured: {one.reason}"
        else:
            more = "" if one.is_limit else " or more"
            rate = f"{one.sustained:.2f}{more}{f' ({one.reason})' if one.reason else ''}"
        calls = f"{one.calls} calls, {one.throttled} throttled"
        yield f"  {one.kind.value:<10} {one.operation:<20} burst {burst:<11} rate {rate}; {calls}"


def _fact_lines(report: ProbeReport) -> Iterator[str]:
    yield from ("", "Open facts")
    for one in report.facts:
        details = [one.code, "" if one.seconds is None else f"{one.seconds:g} s", one.reason]
        more = ", ".join(filter(None, details))
        answer = "not seen" if one.answer is None else one.answer
        yield f"  {one.id:<21} {one.question} {answer}{f' ({more})' if more else ''}"


def _spec_lines(report: ProbeReport) -> Iterator[str]:
    if report.spec_rates:
        yield from ("", "For the spec, 90 % of the measured rates:", "rates:")
        for kind, rate in report.spec_rates.items():
            yield f"  {kind}: {rate:g}"


def _remains_lines(report: ProbeReport) -> Iterator[str]:
    remains = report.remains
    yield ""
    if report.trouble:
        yield f"The probe ended early: {report.trouble}"
    if report.remedy:
        yield f"  what to do: {report.remedy}"
    if report.leftovers:
        yield f"Leftovers of earlier runs were deleted: {report.leftovers}."
    if remains.remaining:
        yield f"NOT deleted: {plural(len(remains.remaining), 'parameter')} of this or an earlier run."
        yield from (f"  {name}" for name in remains.remaining)
        yield _DELETED_LATER
    if remains.foreign:
        yield f"Not touched: {plural(len(remains.foreign), 'parameter')} that this run has not created."
        yield from (f"  {name}" for name in remains.foreign)
    if remains.trouble:
        yield f"The clean-up failed: {remains.trouble}"
    if report.is_clean:
        yield "Cleaned up: nothing of this run remains."


def document(report: ProbeReport) -> dict[str, Any]:
    """Return the report as JSON (schema/doctor-probe.schema.json); `json_text` masks the account."""
    rates = [{**asdict(one), "class": one.kind.value, "spec_rate": one.spec_rate} for one in report.rates]
    return {
        "format_version": "1.0",
        "account": report.place.account,
        "region": report.place.region,
        "path": report.area.path,
        "run": report.area.run,
        "end": report.end.value,
        "seconds": report.seconds,
        "created": report.created,
        "high_throughput": report.high_throughput,
        "rates": [{key: value for key, value in one.items() if key != "kind"} for one in rates],
        "spec_rates": report.spec_rates,
        "facts": [asdict(one) for one in report.facts],
        "calls": dict(report.calls),
        "throttled": dict(report.throttled),
        "leftovers": report.leftovers,
        "remaining": list(report.remains.remaining),
        "foreign": list(report.remains.foreign),
        "trouble": report.trouble or report.remains.trouble,
    }


def json_text(report: ProbeReport) -> str:
    """Return the report as JSON in which the account id is masked."""
    from ssm_reconcile.renderers.escaping import dumps

    return dumps(document(report)).replace(report.place.account, MASKED)
