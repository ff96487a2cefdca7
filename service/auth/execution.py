"""Who may have commands run on the workers: whoever has the scope for it, where the operator allows it at all."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from service.auth.callers import Caller, Scope, caller_of
from service.problems import FORBIDDEN, respond
from service.settings import Settings


def may_execute(caller: Caller, settings: Settings) -> bool:
    return settings.commands_allowed and caller.may(Scope.EXECUTE)


async def commands_refused(request: Request, error: Any) -> Response:
    """The answer to `CommandsRefused`."""
    caller, settings = caller_of(request), request.app.state.settings
    if not settings.commands_allowed:
        what = "this service runs no commands; its operator allows them with the setting allow_commands"
    else:
        what = f"this needs the scope {Scope.EXECUTE}, which the token of {caller.actor!r} does not have"
    return respond(FORBIDDEN, f"{error}: {what}")
