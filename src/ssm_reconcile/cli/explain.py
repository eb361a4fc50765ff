"""`ssm-reconcile explain`: names and globs -> the cause of their state in each target, and remedies."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from ssm_reconcile.cli import command_run, error_output, options, terminal
from ssm_reconcile.cli.command_run import Runner
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import Finding, Interrupted, ReconcileError, Severity, UsageError
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Run

if TYPE_CHECKING:
    from ssm_reconcile.explain import Explanation
    from ssm_reconcile.plan import ReplicationPlan
    from ssm_reconcile.reconcile import Listings
    from ssm_reconcile.session import Places
    from ssm_reconcile.spec import Replication

EPILOG = """\
\b
Examples:
  ssm-reconcile explain /prod/db/url
  ssm-reconcile explain /prod/db/url --target us-east-2 --format json
  ssm-reconcile explain /prod/db/url --spec prod.yaml --quick --no-decrypt
  ssm-reconcile explain /prod/api/url '/prod/db/*'
  ssm-reconcile explain '/prod/**' --short
"""
EXIT_CODES = {
    0: "done",
    1: "error: no place could be reached, or the wrong one, or the output was lost",
    3: "a place was not listed completely, so a glob may match more names",
    64: "wrong usage",
    130: "interrupted",
}
INCOMPLETE = 3
MOST_NAMES = 100
"""Names that are explained in full; --short explains any number."""
_NO_LIMIT = sys.maxsize


@click.command("explain", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@click.argument("parameters", metavar="NAME...", nargs=-1, required=True)
@options.spec_option
@options.name_option
@options.target_option
@options.no_decrypt_option
@click.option("--quick", is_flag=True, help="Plan these names only; guards that count are not applied.")
@click.option(
    "--short", is_flag=True,
    help="One line for each name and target: the row, the action of a plan, the first remedy.",
)  # fmt: skip
@options.format_option("text", "json")
@options.aws_options
def command(
    *,
    parameters: tuple[str, ...],
    specs: tuple[str, ...],
    name: str | None,
    targets: tuple[str, ...],
    no_decrypt: bool,
    quick: bool,
    short: bool,
    output_format: str,
    common: CommonOptions,
) -> int:
    """Explain the state of parameters in each target, and say what to do.

    Prints the rule that selects or excludes it, its key and rewrite, owner and record, the versions on both
    sides, its row in the table of cases (with -v also why no earlier row fits), the action of a plan, and
    what to change for another result. Values are shown as a plan shows them: never of a SecureString.

    NAME is a name at the source or in a target, or a glob such as '/prod/db/*'. For one name, only that name
    is read. If a plan would change it, the whole replication is planned as well, because guards count all
    changes; --quick leaves that out. Several names and globs are explained from one plan of the replication.
    """
    from ssm_reconcile.session import narrow_specs

    _check_names(parameters)
    run = Run(targets=targets, no_decrypt=no_decrypt, lifts_allowed=True)
    loaded = command_run.load_specs(specs, name)
    with command_run.start_runner(loaded, run, common) as runner:
        places = runner.open_places()
        line = options.command_line(specs, name, run, common)
        chosen = narrow_specs(loaded, run)
        lines = {spec.name: replace(line, name=spec.name if len(loaded) > 1 else name) for spec in chosen}
        incomplete: list[Finding] = []
        if len(parameters) == 1 and not _has_glob(parameters):
            explanations = [
                one
                for spec in chosen
                for one in _explained(parameters[0], spec, places, runner, lines[spec.name], quick=quick)
            ]
        else:
            names = _NameReader(parameters, places, runner, quick=quick, short=short)
            explanations, incomplete = names.explain(chosen, lines)
    form = "lines" if short and output_format == "text" else output_format
    _write_explanations(explanations, form, verbose=bool(common.verbose))
    error_output.write_findings(incomplete)
    command_run.note_standard_input(specs, common)
    return INCOMPLETE if incomplete else 0


def _write_explanations(explanations: Sequence[Explanation], form: str, *, verbose: bool) -> None:
    """Write the explanations to stdout, as `json`, `lines` or `text`."""
    from ssm_reconcile.cli.show import text_width
    from ssm_reconcile.explain import explanation_document, explanation_lines, explanation_text

    if form == "json":
        terminal.write(json.dumps(explanation_document(explanations), indent=2))
    elif form == "lines":
        terminal.write(explanation_lines(explanations))
    else:
        terminal.write(explanation_text(explanations, width=text_width(), verbose=verbose))


def _has_glob(parameters: Sequence[str]) -> bool:
    return any("*" in parameter for parameter in parameters)


def _check_names(parameters: Sequence[str]) -> None:
    """Check that each name and each glob can be that of a parameter.

    Raises:
        click.UsageError: One of them matches no possible name.
    """
    from ssm_reconcile.load.patterns import impossible, impossible_name

    for parameter in parameters:
        fault = impossible(parameter) if "*" in parameter else impossible_name(parameter)
        if fault is not None:
            raise click.UsageError(f"{shlex.quote(parameter)} {fault}.")


@dataclass(frozen=True, slots=True)
class _NameReader:
    """Reads several names and globs from one listing of each place, and explains them.

    Attributes:
        parameters: The names and globs as they were given.
        places: The opened places.
        runner: The runner of the command.
        quick: The value of `--quick`.
        short: The value of `--short`.
    """

    parameters: tuple[str, ...]
    places: Places
    runner: Runner
    quick: bool
    short: bool

    def explain(
        self, specs: Sequence[Replication], lines: Mapping[str, CommandLine]
    ) -> tuple[list[Explanation], list[Finding]]:
        """Return the explanations, by replication, name and target; with globs, the incomplete places too.

        Args:
            specs: The replications.
            lines: The arguments that recommended commands repeat, by replication.

        Raises:
            UsageError: A glob matches too much, or nothing in places that were listed completely.
        """
        from ssm_reconcile import reconcile
        from ssm_reconcile.explain import explain_names
        from ssm_reconcile.reconcile import PlanScope

        with self.runner.reading() as progress:
            session = Session(self.places, self._run(), self.runner.clock, progress)
            listings = reconcile.list_places(specs, session)
            found = self._without_repetition(specs, {s.name: self._expand(s, listings) for s in specs})
            self._check({name for every in found.values() for name in every}, specs, listings)
            plans = reconcile.plan_each(specs, session, PlanScope(listings), lambda *plan: plan)
        explanations: list[Explanation] = []
        for spec, (part, views) in zip(specs, plans, strict=True):
            line = lines[spec.name]
            noted = _add_note(part, "--quick", line) if self.quick and part.changes else part
            explanations += explain_names(found[spec.name], spec, noted, views, line)
        incomplete = [
            finding for part, _ in plans for finding in part.findings if finding.code == "incomplete-place"
        ]
        return explanations, incomplete if _has_glob(self.parameters) else []

    def _run(self) -> Run:
        """Return the options of the plan; with `--quick` it is narrowed, and its guards do not count."""
        return _uncounted(replace(self.runner.run, only=self.parameters)) if self.quick else self.runner.run

    def _expand(self, spec: Replication, listings: Listings) -> dict[str, frozenset[str] | None]:
        """Return the names that the parameters select in one replication."""
        from ssm_reconcile.explain import expand_names
        from ssm_reconcile.model import Listing, canonical

        source = listings[spec.source.access]
        if not isinstance(source, Listing):
            return {canonical(parameter): None for parameter in self.parameters if "*" not in parameter}
        live = {target.name: listings[target.access] for target in spec.targets}
        listed = {name: one for name, one in live.items() if isinstance(one, Listing)}
        return expand_names(self.parameters, spec, source, listed)

    def _without_repetition(
        self, specs: Sequence[Replication], found: Mapping[str, dict[str, frozenset[str] | None]]
    ) -> dict[str, dict[str, frozenset[str] | None]]:
        """Return the names of each replication, without those of a glob that only others include."""
        from ssm_reconcile.model import canonical

        included = {name for spec in specs for name in found[spec.name] if spec.included_by(name)}
        others = included.difference(map(canonical, self.parameters))
        return {
            spec.name: {
                name: at
                for name, at in found[spec.name].items()
                if at is not None or name not in others or spec.included_by(name)
            }
            for spec in specs
        }

    def _check(self, names: Collection[str], specs: Sequence[Replication], listings: Listings) -> None:
        """Check the number of names, and that each glob matches one unless a place is incomplete."""
        from ssm_reconcile.model import Listing
        from ssm_reconcile.plan_findings import describe_unmatched
        from ssm_reconcile.reconcile import selected_names
        from ssm_reconcile.spec import Glob

        if len(names) > MOST_NAMES and not self.short:
            message = f"{len(names):,} names match, and at most {MOST_NAMES} are explained in full"
            raise UsageError(message, "narrow the glob, or use --short for one line each")
        if not all(isinstance(listing, Listing) and listing.complete for listing in listings.values()):
            return
        for parameter in self.parameters:
            if not any(map(Glob(parameter).matches, names)):
                raise UsageError(describe_unmatched(parameter, list(selected_names(specs, listings)), ""))


def _uncounted(run: Run) -> Run:
    """Return the options of a run in which no guard counts changes."""
    return replace(run, allow_empty_source=True, max_deletes=_NO_LIMIT, max_change_percent=_NO_LIMIT)


def _explained(
    name: str, spec: Replication, places: Places, runner: Runner, line: CommandLine, *, quick: bool
) -> list[Explanation]:
    """Return the explanations for one replication. `line` is repeated by the commands in them."""
    from ssm_reconcile import reconcile
    from ssm_reconcile.by_name import plan_one_name
    from ssm_reconcile.explain import explain

    whole, not_counted = None, "--quick"
    with runner.reading() as progress:
        session = Session(places, _uncounted(runner.run), runner.clock, progress)
        part, views = plan_one_name(spec, session, name)
        if part.changes and not quick:
            targets = tuple(sorted({change.target for change in part.changes}))
            session = replace(session, run=replace(runner.run, targets=targets))
            try:
                (whole,) = reconcile.make_plan([spec], session).replications
                part = _with_guards(part, whole)
            except Interrupted:
                raise
            except ReconcileError as failure:
                not_counted = failure.message
    if part.changes and whole is None:
        part = _add_note(part, not_counted, line)
    return list(explain(name, spec, part, views, line, whole))


def _with_guards(part: ReplicationPlan, whole: ReplicationPlan) -> ReplicationPlan:
    """Return the plan for one name with each change as the guards judged it in the whole plan."""
    known = {change.order: change for change in whole.changes}
    changes = tuple(known.get(change.order, change) for change in part.changes)
    return replace(part, changes=changes, findings=(*part.findings, *whole.findings))


def _add_note(part: ReplicationPlan, why: str, line: CommandLine) -> ReplicationPlan:
    """Return the plan with the finding that guards which count were not applied; log that."""
    message = f"guards that count all changes were not applied ({why}); see `{line.plan()}`"
    terminal.log(f"Note: {message}.")
    return replace(part, findings=(*part.findings, Finding(Severity.NOTICE, "not-counted", message)))
