"""A beginning that several tests share: played once in a process, and restored for each test.

    @prepared
    def reviewed(stage: Stage) -> None:
        stage.open(ALL)
        stage.plan()

A restored beginning is a copy of all that a stage consists of: the files of the repository and the runs, the
content of GitHub, the runs of the scheduler, and the parameters and keys in moto. Paths and addresses stay
the same, because each stage of a process has the same folder and the same servers.
"""

from __future__ import annotations

import copy
import copyreg
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from moto.backends import get_backend
from moto.ssm.models import ParameterDict

from tests.workflows.stage import Stage


def _parts(parameters: ParameterDict) -> tuple[Any, ...]:
    """Return what `copy` makes a copy of: it would call the class without arguments."""
    place = (parameters.account_id, parameters.region_name)
    return ParameterDict, place, vars(parameters), None, iter(parameters.items())


copyreg.pickle(ParameterDict, _parts)


@dataclass(frozen=True, slots=True)
class _Saved:
    stage: Stage
    files: Path
    aws: Mapping[tuple[str, str, str], Mapping[str, Any]]
    """The attributes of moto's backends, by service, account and region."""


def prepared(play: Callable[[Stage], None]) -> Any:
    """Return a fixture with the stage after a beginning."""
    saved: list[_Saved] = []

    @pytest.fixture(name=play.__name__)
    def restored(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Stage:
        if saved:
            _restore(saved[0], stage)
        else:
            play(stage)
            saved.append(_save(stage, tmp_path_factory.mktemp(play.__name__)))
        return stage

    return restored


def _save(stage: Stage, folder: Path) -> _Saved:
    pipes = shutil.ignore_patterns("pipe")  # of the action; they cannot be copied
    shutil.copytree(stage.folder, folder / "files", symlinks=True, ignore=pipes)
    aws = {
        (service, account, region): copy.deepcopy(vars(backend))
        for service in ("ssm", "kms")
        for account, regions in get_backend(service).items()
        for region, backend in regions.items()
    }
    shared = {id(stage.hub.lock): stage.hub.lock}
    return _Saved(copy.deepcopy(stage, shared), folder / "files", aws)


def _restore(saved: _Saved, stage: Stage) -> None:
    shutil.rmtree(stage.folder)
    shutil.copytree(saved.files, stage.folder, symlinks=True)
    for (service, account, region), attributes in saved.aws.items():
        backend: Any = get_backend(service)[account][region]  # type: ignore[call-overload] # as above
        vars(backend).update(copy.deepcopy(attributes))
    hub, lock = saved.stage.hub, saved.stage.hub.lock
    copies: dict[int, Any] = {id(saved.stage): stage, id(hub): stage.hub, id(lock): lock}
    for source, target in ((hub, stage.hub), (saved.stage, stage)):
        for field in fields(source):
            setattr(target, field.name, copy.deepcopy(getattr(source, field.name), copies))
