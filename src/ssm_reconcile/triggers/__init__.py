"""The former place of `ssm_reconcile.event`, kept for deployed functions until version 2."""
