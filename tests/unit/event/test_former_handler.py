"""The handler path of deployed templates."""

from __future__ import annotations

import pytest

pytest.importorskip("aws_lambda_powertools")


def test_the_handler_path_of_deployed_templates_is_the_current_handler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ssm_reconcile.event import aws_lambda
    from ssm_reconcile.triggers import lambda_function

    assert lambda_function.answer is aws_lambda.answer
