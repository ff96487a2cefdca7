"""What a study may name: network families, algorithms, stopping rules. The same tables check the studies."""

from __future__ import annotations

from fastapi import APIRouter

from search import ALGORITHMS, STOPPING_RULES, auto
from service import schemas
from service.auth.callers import Reader
from service.catalogue_schemas import AlgorithmRow, Family, StoppingRuleRow
from workers.catalogue import FAMILIES, describe

router = APIRouter(tags=["catalogue"])


@router.get("/families", summary="What can be trained")
async def list_families(caller: Reader) -> schemas.Listing[Family]:
    return schemas.Listing[Family](items=[Family(**describe(row)) for row in FAMILIES.values()])


@router.get("/algorithms", summary="How configs can be searched", response_model_exclude_unset=True)
async def list_algorithms(caller: Reader) -> schemas.Listing[AlgorithmRow]:
    """`auto` is the default."""
    rows = [auto.to_json(), *(row.to_json() for row in ALGORITHMS.values())]
    return schemas.Listing[AlgorithmRow](items=[AlgorithmRow.model_validate(row) for row in rows])


@router.get("/stopping-rules", summary="How runs can be ended early", response_model_exclude_unset=True)
async def list_stopping_rules(caller: Reader) -> schemas.Listing[StoppingRuleRow]:
    """Any algorithm may have one, as `stop`."""
    rows = [StoppingRuleRow.model_validate(row.to_json()) for row in STOPPING_RULES.values()]
    return schemas.Listing[StoppingRuleRow](items=rows)
