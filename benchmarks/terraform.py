"""Terraform with a resource `aws_ssm_parameter` for each parameter, if it is on this machine.

It needs `terraform` on the path and its aws provider: from the registry, or from the folder that
TERRAFORM_PLUGIN_DIR names. Terraform reads no source region, so it gets the values as data (its state
contains secrets as plain text). One target is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.children import Cost, cost
from benchmarks.served import CREDENTIALS, Server, environment

PLUGINS = "TERRAFORM_PLUGIN_DIR"
_MAIN = """\
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region                      = "us-east-2"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  endpoints {
    ssm = "%(url)s"
    sts = "%(url)s"
  }
}
locals {
  parameters = jsondecode(file("${path.module}/parameters.json"))
}
resource "aws_ssm_parameter" "copy" {
  for_each    = local.parameters
  name        = each.key
  type        = each.value.type
  value       = each.value.value
  description = each.value.description
  tags        = each.value.tags
}
"""


class Skipped(Exception):  # noqa: N818 - not an error: this machine has no Terraform
    """The reason for which Terraform is not measured."""


def prepare(folder: Path, server: Server, count: int) -> str:
    """Write and initialise a module with the parameters; return the version, or raise Skipped."""
    if shutil.which("terraform") is None:
        raise Skipped("no `terraform` on the path")
    (folder / "main.tf").write_text(_MAIN % {"url": server.url})
    (folder / "parameters.json").write_text(json.dumps(dict(map(_parameter, range(count)))))
    plugins = os.environ.get(PLUGINS)
    result = _terraform(folder, "init", *([f"-plugin-dir={plugins}"] if plugins else []))
    if result.returncode:
        raise Skipped(f"`terraform init` could not get the aws provider (set {PLUGINS} to a folder with it)")
    version = json.loads(_terraform(folder, "version", "-json").stdout)
    providers = version["provider_selections"].values()
    return f"Terraform {version['terraform_version']}, aws provider {', '.join(providers)}"


def run(folder: Path, server: Server, verb: str, *options: str) -> Cost:
    """Return the cost of one `terraform plan` or `apply`."""
    command = ["terraform", f"-chdir={folder}", verb, "-no-color", "-input=false", *options]
    return cost(server, command, extra=_settings())


def _parameter(number: int) -> tuple[str, dict[str, object]]:
    kind = "SecureString" if number % 10 in {3, 6, 9} else "String"
    tags = {"team": "payments", "stage": "prod"}
    result = {"type": kind, "value": f"value {number} " + "x" * 50, "description": f"setting {number}"}
    return f"/bench/service-{number // 40:03d}/setting-{number:06d}", {**result, "tags": tags}


def _settings() -> dict[str, str]:
    return {
        **CREDENTIALS,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_CLI_CONFIG_FILE": os.devnull,
    }


def _terraform(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["terraform", f"-chdir={folder}", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment() | _settings()
    )
