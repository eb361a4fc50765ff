"""The former handler path of the Lambda function, kept for deployed templates until version 2.

The current path is `ssm_reconcile.event.aws_lambda.answer`.
"""

from __future__ import annotations

from ssm_reconcile.event.aws_lambda import answer

__all__ = ["answer"]
