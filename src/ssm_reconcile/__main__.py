"""`python -m ssm_reconcile` is the same as `ssm-reconcile`."""

from __future__ import annotations

from ssm_reconcile.cli import main

if __name__ == "__main__":
    main()
