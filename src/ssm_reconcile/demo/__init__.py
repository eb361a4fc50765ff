"""The main job shown on an AWS of its own: nothing leaves this machine, nothing is left behind.

server.py  moto in a process of its own, on loopback
world.py   some forty parameters in two regions, and what people do to them
story.py   the steps, told in plain words; each is checked, and the demo ends 0 only if all hold
"""

from __future__ import annotations

from ssm_reconcile.demo.story import run

__all__ = ["run"]
