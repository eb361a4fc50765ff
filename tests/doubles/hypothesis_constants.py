"""Hypothesis without the constants of the modules of this project.

It parses each module that is imported and adds its constants to the examples: a second in each worker, and
examples that depend on the tests that ran before. The profile `thorough` keeps them.
"""

from __future__ import annotations

import os
from typing import Any


def leave_out_constants() -> None:
    """Add no constants of modules to examples."""
    from hypothesis.internal.conjecture import providers

    untyped: Any = providers
    if os.environ.get("HYPOTHESIS_PROFILE") != "thorough" and hasattr(providers, "_get_local_constants"):
        none = untyped._local_constants
        untyped._get_local_constants = lambda: none
