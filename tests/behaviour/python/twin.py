"""The Python half of `../node/twins.mjs`."""

import json

from common import told
from player import Player

player = Player("warrenmq")


def answer(step):
    """What came of a step, both as JSON."""
    return json.dumps(player.answer(json.loads(step)), default=told)
