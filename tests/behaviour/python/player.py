"""Carries out scenario steps by one API: `warrenmq` or `pika`."""

import importlib
import traceback


class Player:
    """The sessions of the roles that it has been given."""

    def __init__(self, api):
        self._api = importlib.import_module(f"{api}_session")
        self._sessions = {}

    def answer(self, step):
        """What came of a step: {"value"}, {"error"} or {"crash"}."""
        try:
            return {"value": self._carry_out(step)}
        except Exception as error:
            known = self._api.error_of(error)
            return {"error": known} if known else {"crash": traceback.format_exc()}

    def _carry_out(self, step):
        role, verb = step.pop("role", None), step.pop("do")
        if verb == "open":
            self._sessions[role] = self._api.Session(**step)
        elif verb == "reset":
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()
        elif verb == "close":
            self._sessions.pop(role).close()
        else:
            return getattr(self._sessions[role], verb)(**step)
