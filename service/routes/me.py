"""Who asks."""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.access_schemas import Me
from service.auth.callers import Reader

router = APIRouter(prefix="/me", tags=["access"])


@router.get("", summary="Who am I?")
async def get_me(caller: Reader, request: Request) -> Me:
    """What the service makes of the token and the header Assay-Project of this request."""
    return Me(
        actor=caller.actor,
        project=caller.project,
        projects=None if caller.everywhere else [caller.project],
        scopes=sorted(caller.scopes),
        auth=request.app.state.settings.auth_on,
    )
