"""The arguments of a run -> other commands for the same spec, as one line of text for a shell.

Each ssm-reconcile command that an output shows is made here. It has the same spec, the same narrowing and
the same access as the run that shows it, so that a copy of it works as the output says.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

_IDS = r'"\(.owner.id)/\(.id)"'
"""The ids of a repository, as an expression of jq."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The arguments that another command must repeat.

    Attributes:
        specs: The spec files; empty for the default file.
        name: The value of `--name`.
        targets: The values of `--target`.
        only: The values of `--only`.
        mode: The arguments that say which values are read, what is adopted and what is left out.
        lifts: The arguments that lift a guard.
        access: The arguments that say how AWS is reached.
    """

    specs: tuple[str, ...] = ()
    name: str | None = None
    targets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    mode: tuple[str, ...] = ()
    lifts: tuple[str, ...] = ()
    access: tuple[str, ...] = ()

    def narrow(self, target: str, *only: str) -> CommandLine:
        """Return the arguments for one target, and for some names in it."""
        return replace(self, targets=(target,), only=only)

    def plan(self, *words: str) -> str:
        """Return the command for the same plan."""
        return self._planning("plan", words)

    def apply(self, *words: str) -> str:
        """Return the command that applies the same plan."""
        return self._planning("apply", words)

    def apply_saved(self, file: str, *words: str) -> str:
        """Return the command that applies a saved plan; the plan itself contains narrowing and mode."""
        specs = _repeated("--spec", self._specs)
        return _joined(["apply", _path(file), *specs, *self.lifts, *words, *self.access])

    def undo(self, *words: str, file: str) -> str:
        """Return the command that takes back the apply of a report."""
        specs, narrowing = _repeated("--spec", self._specs), self._narrowing
        return _joined(
            [
                "undo",
                _path(file),
                *specs,
                *self._name,
                *narrowing,
                *self.mode,
                *self.lifts,
                *self.access,
                *words,
            ]
        )

    def explain(self, parameter: str) -> str:
        """Return the command that explains one parameter."""
        specs = _repeated("--spec", self._specs)
        targets = _repeated("--target", self.targets)
        given = [*specs, *self._name, *targets, *self.access]
        if parameter.startswith("-"):
            return _joined(["explain", *given, "--", parameter])
        return _joined(["explain", parameter, *given])

    def detach(self, target: str, *words: str) -> str:
        """Return the command that detaches a target; with `--undo` in `words`, the reverse."""
        specs = _repeated("--spec", self._specs)
        return _joined(["detach", "--target", target, *specs, *self._name, *words, *self.access])

    def doctor(self) -> str:
        """Return the command that checks the requirements of a run."""
        targets = _repeated("--target", self.targets)
        return _joined(["doctor", *self._specs, *self._name, *targets, *self.access])

    def doctor_github(self) -> str:
        """Return the command that checks the settings of the repository on GitHub."""
        return _joined(["doctor", "--github", *self._specs])

    def init_github(self, repository: str, *words: str) -> str:
        """Return the command that writes the files for a repository; with `--apply`, the settings."""
        return _joined(["init", "--github", repository, *words, *self._specs])

    def role_steps(self, repository: str, stack: str, region: str, ids: str | None = None) -> str:
        """Return the commands that create the roles, one a line.

        Args:
            repository: The repository on GitHub, as OWNER/REPO.
            stack: The name of the stack.
            region: The region of the stack: the AWS CLI may have no default.
            ids: The ids of the repository, as OWNER_ID/REPO_ID; None: the command reads them with `gh`.
        """
        template = self.iam("stack", "--github", repository, "--github-ids", ids or "IDS")
        if ids is None:
            template = template.replace(" IDS", f""" "$(gh api repos/{repository} --jq '{_IDS}')\"""", 1)
        deploy = (
            f"aws cloudformation deploy --region {region} --template-file roles.json --stack-name {stack}"
        )
        return f"  {template} > roles.json\n  {deploy} --capabilities CAPABILITY_NAMED_IAM"

    def github_steps(
        self,
        repository: str,
        stack: str,
        region: str,
        files: Iterable[str],
        words: Iterable[str] = ("--apply",),
        branch: str = "main",
    ) -> str:
        """Return the commands for the roles, the files, the settings and the check, one a line.

        The workflow is pushed before its rules exist, which need a pull request for each change.

        Args:
            repository: The repository on GitHub, as OWNER/REPO.
            stack: The name of the stack of its roles.
            region: The region of the stack.
            files: The paths of the files to push, from the current directory.
            words: The options that make the settings.
            branch: The default branch.
        """
        return (
            f"{self.role_steps(repository, stack, region)}\n"
            f"  git add {shlex.join(files)} && git commit -m 'Plan and apply on GitHub'"
            f" && git push origin {branch}\n"
            f"  {self.init_github(repository, *words)}\n"
            f"  {self.doctor_github()}"
        )

    def iam(self, phase: str, *words: str) -> str:
        """Return the command that prints the IAM policies of a phase; it does not call AWS."""
        return _joined(["iam", phase, *words, *self._specs, *self._name])

    @property
    def _specs(self) -> list[str]:
        return [_path(spec) for spec in self.specs]

    @property
    def _name(self) -> list[str]:
        return [] if self.name is None else ["--name", self.name]

    @property
    def _narrowing(self) -> list[str]:
        return [*_repeated("--target", self.targets), *_repeated("--only", self.only)]

    def _planning(self, command: str, words: Iterable[str]) -> str:
        given = [*self._name, *self._narrowing, *self.mode, *self.lifts, *self.access]
        return _joined([command, *self._specs, *given, *words])


def _path(file: str) -> str:
    """Return a path that click does not read as an option; `-` is standard input."""
    return f"./{file}" if file.startswith("-") and file != "-" else file


def _repeated(flag: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]


def _joined(words: Iterable[str]) -> str:
    return shlex.join(["ssm-reconcile", *words])
