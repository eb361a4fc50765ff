"""A lone surrogate that arrives in AWS's JSON, through botocore, into files and pipes."""

from __future__ import annotations

import json

from tests.e2e.conftest import HERE, THERE, Shell

HALF = "half \ud800 of it"


def test_half_a_character_concerns_its_own_parameter_only(shell: Shell) -> None:
    shell.put("/fine", "1")
    shell.put("/value", HALF)
    shell.put("/replica", "1")
    shell.put("/described", "1")
    shell.put("/tagged", "1")
    source, target = shell.ssm(HERE), shell.ssm(THERE)
    source.put_parameter(
        Name=f"{shell.path}/described", Value="1", Type="String", Description=HALF, Overwrite=True
    )
    source.add_tags_to_resource(
        ResourceType="Parameter", ResourceId=f"{shell.path}/tagged", Tags=[{"Key": "a", "Value": HALF}]
    )
    shell.write_spec()
    result = shell.run("plan", "--out", "plan.json")
    assert result.returncode == 3, result.stderr
    summary = json.loads((shell.folder / "plan.json").read_bytes())["summary"]
    assert (summary["create"], summary["invalid"]) == (2, 3)
    result = shell.run("apply", "plan.json", "--out", "report.json")
    assert result.returncode == 3, result.stderr
    assert shell.names() == {"/fine": "1", "/replica": "1"}
    target.put_parameter(
        Name=f"{shell.path}/replica", Value=HALF, Type="String", Description=HALF, Overwrite=True
    )
    for form in ("text", "json", "markdown", "html"):
        result = shell.run("plan", "--format", form)
        assert result.returncode == 3, result.stderr
    result = shell.run("apply", "--yes", "--overwrite-outside", "-q")
    assert result.returncode == 3, result.stderr
    assert shell.names() == {"/fine": "1", "/replica": "1"}
    for words in (
        ("doctor",),
        ("explain", f"{shell.path}/value"),
        ("detach", "--target", THERE, "--yes"),
        ("init", "--source-region", HERE, "--target", THERE, "--yes", "--output", "new.yaml"),
    ):
        result = shell.run(*words)
        assert "fault of ssm-reconcile" not in result.stderr
