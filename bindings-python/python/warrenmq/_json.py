"""JSON on its way in. (On its way out it is written natively: see `json.rs`.)"""

from __future__ import annotations

import json
from typing import NoReturn


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


decode = json.JSONDecoder(parse_constant=_refuse).decode
"""Reads JSON text strictly: NaN and infinities, which Python would take, are no JSON."""
