"""What a run was given -> other commands for the same spec, as one line of text for a shell.

Every command of ours that a person may copy from an output is made here. It names the same spec, the same
part of it and the same access as the run that shows it, so that it does what the output says.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The arguments that a command has to repeat.

    `specs` are empty for the default file. `mode` are the words for how much is read and adopted, `lifts`
    those that lift a guard, `access` those that say how AWS is reached.
    """

    specs: tuple[str, ...] = ()
    name: str | None = None
    targets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    mode: tuple[str, ...] = ()
    lifts: tuple[str, ...] = ()
    access: tuple[str, ...] = ()

    def narrowed(self, target: str, *only: str) -> CommandLine:
        """Return the same for one target, and for some names in it."""
        return replace(self, targets=(target,), only=only)

    def plan(self, *words: str) -> str:
        """Return the command that plans the same."""
        return self._planning("plan", words)

    def apply(self, *words: str) -> str:
        """Return the command that applies the same."""
        return self._planning("apply", words)

    def apply_saved(self, file: str, *words: str) -> str:
        """Return the command that applies a saved plan, which says itself what was planned."""
        specs = _repeated("--spec", self._specs)
        return _joined(["apply", _path(file), *specs, *self.lifts, *words, *self.access])

    def explain(self, parameter: str) -> str:
        """Return the command that explains one parameter."""
        specs = _repeated("--spec", self._specs)
        targets = _repeated("--target", self.targets)
        given = [*specs, *self._name, *targets, *self.access]
        if parameter.startswith("-"):
            return _joined(["explain", *given, "--", parameter])
        return _joined(["explain", parameter, *given])

    def detach(self, target: str, *words: str) -> str:
        """Return the command that detaches a target, or takes it back."""
        specs = _repeated("--spec", self._specs)
        return _joined(["detach", "--target", target, *specs, *self._name, *words, *self.access])

    def doctor(self) -> str:
        """Return the command that checks what a run rests on."""
        targets = _repeated("--target", self.targets)
        return _joined(["doctor", *self._specs, *self._name, *targets, *self.access])

    def iam(self, phase: str) -> str:
        """Return the command that prints the policies of a phase; it does not call AWS."""
        return _joined(["iam", phase, *self._specs, *self._name])

    @property
    def _specs(self) -> list[str]:
        return [_path(spec) for spec in self.specs]

    @property
    def _name(self) -> list[str]:
        return [] if self.name is None else ["--name", self.name]

    def _planning(self, command: str, words: Iterable[str]) -> str:
        narrowing = [*_repeated("--target", self.targets), *_repeated("--only", self.only)]
        given = [*self._name, *narrowing, *self.mode, *self.lifts, *self.access]
        return _joined([command, *self._specs, *given, *words])


def _path(file: str) -> str:
    """Return a path that is not read as an option; `-` is standard input."""
    return f"./{file}" if file.startswith("-") and file != "-" else file


def _repeated(flag: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]


def _joined(words: Iterable[str]) -> str:
    return shlex.join(["ssm-reconcile", *words])
