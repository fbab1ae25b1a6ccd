"""Warm-ups, which several rules have: something that grows evenly over the first steps."""

from __future__ import annotations

from typing import Any

import torch


def reached(step: Any, steps: float) -> Any:
    """How much of a warm-up is over, from 0 to 1: t = step, T = steps; 0 steps are none."""
    share = step / max(1, steps)  #                                             s = t / max(1, T)
    return share.clamp(max=1) if torch.is_tensor(share) else min(1.0, share)  # min(1, s)
