"""The routes of imports and exports of products as CSV files."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from api.access import access_of, caller_of
from api.catalog.imports import CatalogFiles
from api.catalog.schemas import ImportList, ImportView, LineFaultView
from api.web.bodies import FileBody
from api.web.problems import CONFLICT
from api.web.routes import Routes
from api.web.times import rfc3339
from marketplace.catalog.csv_files import MAX_BYTES
from marketplace.catalog.imports import Import
from marketplace.identity.roles import Permission

_ID: Final = "3f2a9c51d06e4b7fa8c1e2d3b4a59687"
_CSV: Final = "text/csv"
_FAULT: Final = {"line": 7, "column": "price", "code": "money", "message": "give an amount such as 12.50"}
_IMPORT: Final[dict[str, Any]] = {
    "id": _ID, "state": "done", "dry_run": False, "products": 60, "done": 60, "created": 55, "changed": 3,
    "unchanged": 1, "failed": 1, "faults": [_FAULT], "more_faults": 0, "reason": "",
    "created_at": "2026-11-29T12:00:00.000Z", "created_by": _ID, "changed_at": "2026-11-29T12:00:02.000Z",
}  # fmt: skip

_FILE: Final = "slug,title,currency,sku,price\r\nblue-mug,Blue mug,EUR,MUG-BLUE,12.50\r\n"

CATALOG_FILES: Final = Routes("/v1/stores/{store}", "Catalog")


class CsvResponse(StreamingResponse):
    """A file that is sent while it is made."""

    media_type = _CSV


def _files(request: Request) -> CatalogFiles:
    found: CatalogFiles = request.app.state.catalog.files
    return found


@CATALOG_FILES.add("POST", "/product-imports", demand=Permission.EDIT_CATALOG, cost=20, status=202,
                   problems=[CONFLICT], example=_IMPORT, located=True, takes=FileBody(_CSV, _FILE, MAX_BYTES),
                   links={"get_product_import": {"store": "$request.path.store",
                                                 "product_import": "$response.body#/id"}})  # fmt: skip
async def import_products(
    request: Request,
    response: Response,
    dry_run: Annotated[
        bool, Query(description="Whether to write nothing, and only say what would come of it.")
    ] = False,
) -> ImportView:
    """Import products from a CSV file of at most 16 MiB and 50,000 lines: see the reference of catalogs for columns.

    It goes on after this answer. A product whose lines are all good is imported, others are not; nothing is removed.
    A file that was imported already changes nothing. Of one store there is one import at a time.
    """
    access = access_of(request)
    begun = await _files(request).begin(
        access.slug, caller_of(request).user.id, await request.body(), access.standing.tier, dry_run=dry_run
    )
    response.headers["location"] = f"/v1/stores/{access.slug}/product-imports/{begun.id}"
    return _view(begun)


@CATALOG_FILES.add("GET", "/product-imports", demand=Permission.READ_CATALOG, example={"imports": [_IMPORT]})
async def list_product_imports(request: Request) -> ImportList:
    """The last twenty imports of a store, the newest first, without what is wrong with their lines."""
    return ImportList(imports=list(map(_view, await _files(request).latest(access_of(request).slug))))


@CATALOG_FILES.add("GET", "/product-imports/{product_import}", demand=Permission.READ_CATALOG, example=_IMPORT)
async def get_product_import(request: Request, product_import: str) -> ImportView:
    """How far an import is, and what is wrong with lines of its file. It is kept for 30 days."""
    return _view(await _files(request).get(access_of(request).slug, product_import))


@CATALOG_FILES.add("GET", "/product-exports", demand=Permission.READ_CATALOG, cost=10, gives=CsvResponse, example=_FILE)
async def export_products(request: Request) -> Response:
    """All products of a store as a CSV file, by slug. Importing it changes nothing."""
    slug = access_of(request).slug
    headers = {"content-disposition": f'attachment; filename="{slug}-products.csv"'}
    return CsvResponse(await _files(request).export(slug), headers=headers)


def _view(found: Import) -> ImportView:
    return ImportView(
        id=found.id,
        state=found.state.value,
        dry_run=found.dry_run,
        products=found.products,
        done=found.done,
        created=found.created,
        changed=found.changed,
        unchanged=found.unchanged,
        failed=found.failed,
        faults=[
            LineFaultView(line=each.line, column=each.column, code=each.code, message=each.message)
            for each in found.faults
        ],
        more_faults=found.more_faults,
        reason=found.reason,
        created_at=rfc3339(found.created_at),
        created_by=found.by,
        changed_at=rfc3339(found.changed_at),
    )
