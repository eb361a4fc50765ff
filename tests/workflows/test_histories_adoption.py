"""History of docs/first-adoption.md in the workflows: one apply by plan id decrypts, and no other run."""

from __future__ import annotations

import pytest

from tests.workflows.stage import SECRET, TARGET, Stage, log_of, results, spec

pytestmark = pytest.mark.slow

KEY = "/app/key"


def test_secrets_are_adopted_by_the_id_of_a_plan_with_decryption(stage: Stage) -> None:
    stage.put(KEY, SECRET, region=TARGET, kind="SecureString")
    stage.commit(spec("/app/**").replace("delete: owned", "delete: owned\nadopt: same_value"))
    jobs = stage.by_hand(mode="apply")
    assert "its value is not read without decryption" in log_of(jobs)
    stage.variables["SSM_NO_DECRYPT"] = "false"
    refused = stage.by_hand(**{"plan-id": "0" * 12})["by-hand"]
    assert refused.result == "failure"
    plan_id = refused.step("Apply the plan with this id").outputs["plan-id"][:12]
    jobs = stage.by_hand(**{"plan-id": plan_id})
    assert results(jobs) == {"by-hand": "success"}, log_of(jobs)
    del stage.variables["SSM_NO_DECRYPT"]
    jobs = stage.later("schedule")
    assert results(jobs) == {"drift": "success"}
    assert "Nothing to do: 2 in sync" in log_of(jobs)
    assert SECRET not in stage.all_output()
