"""What a study may name: network families, datasets, algorithms. The same tables check the studies."""

from __future__ import annotations

from fastapi import APIRouter

from search import ALGORITHMS
from service import schemas
from workers.catalogue import DATASETS, FAMILIES

router = APIRouter(tags=["catalogue"])


@router.get("/families", summary="What can be trained")
async def list_families() -> schemas.Listing[schemas.Family]:
    return schemas.Listing[schemas.Family](items=[schemas.Family(**row.to_json()) for row in FAMILIES.values()])


@router.get("/datasets", summary="On what it can be trained")
async def list_datasets() -> schemas.Listing[schemas.Dataset]:
    return schemas.Listing[schemas.Dataset](items=[schemas.Dataset(**row.to_json()) for row in DATASETS.values()])


@router.get("/algorithms", summary="How configs can be searched", response_model_exclude_unset=True)
async def list_algorithms() -> schemas.Listing[schemas.AlgorithmRow]:
    rows = [schemas.AlgorithmRow.model_validate(row.to_json()) for row in ALGORITHMS.values()]
    return schemas.Listing[schemas.AlgorithmRow](items=rows)
