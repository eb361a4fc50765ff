"""Twelve places by a matrix of accounts and regions: each command from end to end, with assumed roles."""

from __future__ import annotations

import re

import boto3

from tests.e2e.conftest import HERE, SECRET, Shell

HOME = "123456789012"
ACCOUNTS = (HOME, *(f"{number}" * 12 for number in range(1, 3)))
REGIONS = (HERE, "us-west-2", "eu-west-1", "ap-southeast-2")
TARGETS = [f"{account}-{region}" for account in ACCOUNTS for region in REGIONS][1:]
"""All but the place of the source."""
PARAMETERS = 4
"""Two deletes are half of the replicas, and within the limit of one target."""
EVERY = len(TARGETS) * PARAMETERS
DELETES = len(TARGETS) * 2
MOST_LINES = 150
ALIAS = "alias/many"
KEY = f"arn:{{target.partition}}:kms:{{target.region}}:{{target.account}}:{ALIAS}"
"""The key of the secret in each target, and its text in outputs for all of them."""


def write_spec(shell: Shell, more: str = "") -> None:
    listed = ", ".join(f'"{account}"' for account in ACCOUNTS)
    (shell.folder / "replication.yaml").write_text(f"""\
version: 1
name: many-{shell.path.rpartition("-")[2]}
id: k3v9x2m7qa
source: {{ region: {HERE}, account: "{HOME}" }}
targets:
  - accounts: [{listed}]
    regions: [{", ".join(REGIONS)}]
    name: "{{target.account}}-{{target.region}}"
    role_arn: "arn:{{target.partition}}:iam::{{target.account}}:role/ssm-reconcile"
parameters: {{ include: ["{shell.path}/**"] }}
kms:
  - source: {ALIAS}
    targets:
      "{{target.name}}": "{KEY}"
delete: owned
guards: {{ max_deletes_total: {DELETES - 1} }}
rates: {{ put: 50, list_tags: 50, tags: 50, describe: 50, get: 50, resources: 50, delete: 50 }}
{more}""")


def create_keys(shell: Shell) -> None:
    """Create a key with the alias in each place."""
    boto = boto3.Session("testing", "testing", region_name=HERE)
    sts = boto.client("sts", endpoint_url=shell.proxy.behind)
    for account in ACCOUNTS:
        role = f"arn:aws:iam::{account}:role/ssm-reconcile"
        given = sts.assume_role(RoleArn=role, RoleSessionName="keys")["Credentials"]
        keys = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        for region in REGIONS:
            kms = boto3.Session(*keys, region_name=region).client("kms", endpoint_url=shell.proxy.behind)
            kms.create_alias(AliasName=ALIAS, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])


def readable(text: str, width: int) -> str:
    """Check the size of a text: few lines, of which only names and keys that do not break are wider."""
    lines = text.splitlines()
    assert len(lines) <= MOST_LINES, f"{len(lines)} lines"
    wide = [line for line in lines if len(line) > width and " " in line.strip()]
    assert [line for line in wide if KEY not in line] == []
    return text


def test_twelve_places_from_the_first_plan_to_the_last_delete(shell: Shell) -> None:
    for number in range(PARAMETERS - 1):
        shell.put(f"/service/{number:02}/url", f"https://{number}.example.com")
    create_keys(shell)
    token = f"{shell.path}/token"
    shell.ssm(HERE).put_parameter(Name=token, Value=SECRET, Type="SecureString", KeyId=ALIAS)
    write_spec(shell)
    shell.environment |= {"COLUMNS": "80", "AWS_ENDPOINT_URL": shell.proxy.behind}  # no request goes wrong
    done = shell.run("validate")
    assert (done.returncode, done.stdout) == (0, "replication.yaml: 1 replication, valid\n")
    assert f"the source, {HOME}/{HERE}, is a place of this matrix: it is left out" in done.stderr

    done = shell.run("plan", "--out", "plan.json")
    assert done.returncode == 0, done.stderr
    text = readable(done.stdout, 80)
    assert "11 targets" in text
    assert text.count(KEY) == 1
    assert f"{EVERY} to create" in text
    assert done.stderr.startswith("Opening 12 places ...\n")
    assert done.stderr.count(" ...\n") < 20
    readable(shell.run("show", "plan.json", env={"COLUMNS": "120"}).stdout, 120)
    comment = shell.run("show", "plan.json", "--format", "markdown").stdout
    assert (len(comment) < 65_000, len(comment.splitlines()) < MOST_LINES) == (True, True)
    assert comment.count(KEY) == 1
    assert len(shell.run("show", "plan.json", "--format", "html").stdout) < 200_000

    done = shell.run("apply", "plan.json", "--out", "report.json", "--metrics", "metrics.prom")
    assert done.returncode == 0, done.stderr
    assert f"Applied {EVERY} of {EVERY} changes" in readable(done.stdout, 80)
    assert sorted(one["name"] for one in shell.report()["targets"]) == sorted(TARGETS)
    metrics = (shell.folder / "metrics.prom").read_text()
    assert {name for name in TARGETS if f'"{name}"' in metrics} == set(TARGETS)

    done = shell.run("plan", "--detailed-exitcode")
    assert done.returncode == 0, done.stdout
    assert f"Nothing to do: {EVERY} in sync." in readable(done.stdout, 80)
    _read_the_state(shell)
    _delete_in_all_targets(shell)


def _read_the_state(shell: Shell) -> None:
    readable(shell.run("status").stdout, 80)
    explained = shell.run("explain", f"{shell.path}/token", env={"COLUMNS": "120"})
    assert explained.returncode == 0, explained.stderr
    assert "the same in all 10 other targets" in readable(explained.stdout, 120)
    diagnosis = shell.run("doctor")
    assert (diagnosis.returncode, len(diagnosis.stdout.splitlines()) <= MOST_LINES) == (0, True)
    assert "and with the same results 10 more targets" in diagnosis.stdout


def _delete_in_all_targets(shell: Shell) -> None:
    for number in (0, 1):
        shell.ssm(HERE).delete_parameter(Name=f"{shell.path}/service/{number:02}/url")
    done = shell.run("apply", "--yes", "--out", "report.json")
    assert done.returncode == 5
    text = re.sub(r"\s+", " ", readable(done.stdout, 80))
    assert f"{DELETES} to delete or replace in all targets are more than {DELETES - 1}" in text
    assert text.count(f"--max-deletes-total {DELETES}") == 1
    assert shell.report()["summary"]["withheld"] == DELETES
    done = shell.run("apply", "--yes", "--max-deletes-total", f"{DELETES}")
    assert done.returncode == 0, done.stderr
    assert f"Applied {DELETES} of {DELETES} changes" in done.stdout
