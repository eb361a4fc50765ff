"""Parameters that the AWS CLI made in us-east-1, replicated to us-east-2 by commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import HERE, SECRET, SOURCE, THERE, Shell


def test_parameters_of_the_aws_cli_are_replicated_and_a_second_plan_is_empty(
    shell: Shell,
) -> None:
    put = ("ssm", "put-parameter", "--region", HERE, "--name")
    shell.aws(
        *put, f"{shell.path}/url", "--type", "String", "--value", "x.org", "--tags", "Key=team,Value=web"
    )
    shell.aws(*put, f"{shell.path}/hosts", "--type", "StringList", "--value", "a,b", "--description", "all")
    shell.aws(*put, f"{shell.path}/key", "--type", "SecureString", "--value", SECRET)
    shell.write_spec()
    result = shell.run("validate")
    assert (result.returncode, result.stdout) == (0, "replication.yaml: 1 replication, valid\n")

    text = shell.run("plan", "--detailed-exitcode")
    assert text.returncode == 2, text.stderr
    assert "3 to create" in text.stdout
    result = shell.run("plan", "--format", "json")
    assert result.returncode == 0
    plan = json.loads(result.stdout)
    assert plan["summary"]["create"] == 3
    assert plan["plan_id"][:12] in text.stdout
    assert {a.operation for a in shell.proxy.seen} <= {
        "GetCallerIdentity", "DescribeParameters", "GetResources", "GetParameters", "ListTagsForResource",
        "ListAliases", "DescribeKey",
    }, "a plan only reads"  # fmt: skip

    result = shell.run("apply", "--yes", "--out", "report.json")
    assert result.returncode == 0, result.stderr
    assert "Applied 3 of 3 changes" in result.stdout
    assert shell.report()["summary"]["applied"] == 3

    decrypted = shell.proxy.count("GetParameters")
    result = shell.run("plan", "--detailed-exitcode")
    assert (result.returncode, shell.proxy.count("GetParameters")) == (0, decrypted)
    assert "Nothing to do: 3 in sync." in result.stdout

    by_path = ("ssm", "get-parameters-by-path", "--recursive", "--with-decryption", "--path", shell.path)
    sides = [
        {p["Name"]: (p["Type"], p["Value"]) for p in shell.aws(*by_path, "--region", region)["Parameters"]}
        for region in (HERE, THERE)
    ]
    assert sides[0] == sides[1]
    assert len(sides[0]) == 3
    tags = ("ssm", "list-tags-for-resource", "--resource-type", "Parameter", "--resource-id")
    found = shell.aws(*tags, f"{shell.path}/url", "--region", THERE)["TagList"]
    assert {"Key": "team", "Value": "web"} in found
    assert {"ssm-reconcile:owner", "ssm-reconcile:record"} < {tag["Key"] for tag in found}


def test_a_change_at_the_source_and_a_hand_edit_at_the_target_are_found(shell: Shell) -> None:
    for name in ("/a", "/b", "/c", "/gone"):
        shell.put(name, "1")
    shell.write_spec()
    assert shell.run("apply", "--yes", "-q").returncode == 0
    shell.put("/a", "changed at the source")
    shell.put("/b", "edited by hand", THERE)
    shell.ssm(HERE).delete_parameter(Name=f"{shell.path}/gone")
    result = shell.run("apply", "--yes")
    assert result.returncode == 5
    assert "1 to delete" in result.stderr
    assert "outside ssm-reconcile" in result.stdout
    assert shell.names() == {"/a": "changed at the source", "/b": "edited by hand", "/c": "1"}
    result = shell.run("apply", "--yes", "--overwrite-outside")
    assert result.returncode == 0
    assert shell.names() == {"/a": "changed at the source", "/b": "1", "/c": "1"}


def test_a_saved_plan_is_applied_and_one_that_is_not_true_any_more_is_refused(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    assert shell.run("plan", "--out", "plan.json").returncode == 0
    result = shell.run("apply", "plan.json", "--out", "report.json")
    assert result.returncode == 0, result.stderr
    assert shell.names() == {"/a": "1"}
    assert shell.run("apply", "plan.json").returncode == 0, "what was done since counts as done"

    shell.put("/a", "2")
    result = shell.run("apply", "plan.json", "--out", "report.json")
    assert result.returncode == 4
    assert f"{shell.path}/a" in result.stderr
    assert shell.names() == {"/a": "1"}
    assert shell.report()["exit_code"] == 4


def test_only_the_expected_plan_is_applied(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    result = shell.run("apply", "--expect-plan", "0123456789ab")
    assert result.returncode == 4
    assert "What to do: " in result.stderr
    assert "1 to create" in result.stderr, "the new plan is shown"
    assert shell.names() == {}
    assert shell.proxy.count("PutParameter") == 0
    plan = json.loads(shell.run("plan", "--format", "json").stdout)
    assert shell.run("apply", "--expect-plan", plan["plan_id"][:12]).returncode == 0
    assert shell.names() == {"/a": "1"}


def test_without_a_terminal_the_plan_to_apply_must_be_given(shell: Shell) -> None:
    shell.write_spec()
    result = shell.run("apply")
    assert result.returncode == 64
    assert "--yes" in result.stderr
    assert shell.proxy.seen == []


def test_a_spec_on_standard_input_and_a_directory_of_specs(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.put("/b/c", "2")
    text = shell.write_spec().read_text()
    (shell.folder / "replication.yaml").unlink()
    result = shell.run("plan", "-", "--format", "json", stdin=text)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["summary"]["create"] == 2

    shell.write_spec(file="specs/one.yaml", name="one")
    two = shell.write_spec(file="specs/two.yaml", name="two")
    two.write_text(two.read_text().replace(f'["{shell.path}/**"]', f'["{shell.path}/b/*"]'))
    one = shell.folder / "specs" / "one.yaml"
    one.write_text(one.read_text().replace(f'["{shell.path}/**"]', f'["{shell.path}/*"]'))
    result = shell.run("apply", "specs", "--yes")
    assert result.returncode == 0, result.stderr
    assert shell.names() == {"/a": "1", "/b/c": "2"}


def test_a_narrow_terminal_loses_nothing(shell: Shell) -> None:
    shell.put("/a/rather/long/name/of/a/parameter", "1")
    shell.put("/key", SECRET, kind="SecureString")
    shell.write_spec()
    result = shell.run("plan", env={"COLUMNS": "40"})
    assert result.returncode == 0
    assert f"{shell.path}/a/rather/long/name/of/a/parameter\n" in result.stdout
    assert f"{shell.path}/key" in result.stdout
    *lines, command = result.stdout.splitlines()
    assert command.startswith("ssm-reconcile apply --expect-plan "), "a command is copied in one piece"
    wide = [line for line in lines if len(line) > 40 and " " in line.strip(" +")]
    assert wide == [], "only what cannot be broken is wider"


def test_a_reader_that_has_seen_enough_ends_nothing(shell: Shell) -> None:
    for number in range(30):
        shell.put(f"/some/{number:02}", "1")
    shell.write_spec()
    plan = shell.start("plan")
    head = subprocess.run(
        ["head", "-1"], stdin=plan.stdout, capture_output=True, text=True, timeout=60, check=True
    )
    assert plan.stdout is not None
    plan.stdout.close()
    assert plan.wait(timeout=60) == 0
    assert head.stdout.startswith(f"{shell.path.strip('/')}: ")
    assert plan.stderr is not None
    assert "BrokenPipe" not in plan.stderr.read()


def test_the_console_script_is_the_same_program(shell: Shell) -> None:
    script = Path(sys.executable).with_name("ssm-reconcile")
    if not script.exists():  # run from the tree, not installed: the module is all there is
        script = SOURCE / "ssm_reconcile" / "__main__.py"
    result = subprocess.run(
        [sys.executable, str(script), "--version"],
        capture_output=True, text=True, env=shell.environment, timeout=60, check=True,
    )  # fmt: skip
    assert result.stdout == shell.run("--version").stdout
