"""The routes of a store's catalog, for those who work in it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Request, Response

from api.access import access_of, caller_of
from api.catalog.schemas import (
    CategoryEdit,
    CategoryList,
    CategoryView,
    ChangePage,
    ChangeView,
    ImageView,
    NewCategory,
    NewProduct,
    OptionView,
    ProductEdit,
    ProductPage,
    ProductView,
    State,
    VariantView,
    fields_of,
)
from api.catalog.service import CatalogService
from api.web.conditions import edited_version
from api.web.cursors import MAX_CHARS, cursor, number_of, place_of
from api.web.problems import CONFLICT, PRECONDITION_REQUIRED, STALE
from api.web.routes import Links, Routes
from api.web.times import rfc3339
from connectors.mongo.products import Change
from marketplace.catalog.categories import Category
from marketplace.catalog.products import Product, ProductState
from marketplace.identity.roles import Permission

_ID: Final = "3f2a9c51d06e4b7fa8c1e2d3b4a59687"
_LIST: Final = "products by slug"
_CHANGES: Final = "changes of a product"
_HIGHEST_VERSION: Final = 10**9
_CATEGORY: Final[dict[str, Any]] = {"id": _ID, "slug": "mugs", "name": "Mugs", "parent": None}
_PRODUCT: Final[dict[str, Any]] = {
    "id": _ID, "slug": "blue-mug", "title": "Blue mug", "description": "Of stoneware.", "state": "active",
    "currency": "EUR", "options": [],
    "variants": [
        {
            "id": _ID, "sku": "MUG-BLUE", "values": [], "price_minor": 1250, "compare_at_minor": None,
            "availability": "many",
        }
    ],
    "images": [{"url": "https://shop.example/mug.jpg", "alt": "A blue mug"}], "category": _ID, "rating": 4.5,
    "reviews": 2, "sold": 0, "version": 1, "created_at": "2026-11-29T12:00:00.000Z", "created_by": _ID,
    "changed_at": "2026-11-29T12:00:00.000Z", "changed_by": _ID,
}  # fmt: skip
_CHANGE: Final[dict[str, Any]] = {
    "version": 2, "kind": "edited", "fields": ["title"], "at": "2026-11-29T12:00:00.000Z", "by": _ID,
}  # fmt: skip

_MADE: Final = {"store": "$request.path.store", "product": "$response.body#/id"}
_IN_A_NEW_PRODUCT: Final[Links] = {
    "get_product": _MADE,
    "edit_product": {**_MADE, "header.If-Match": "$response.header.ETag"},
    "list_product_changes": _MADE,
    "delete_product": _MADE,
}
_MADE_CATEGORY: Final = {"store": "$request.path.store", "category": "$response.body#/id"}

CATALOG: Final = Routes("/v1/stores/{store}", "Catalog")


def _service(request: Request) -> CatalogService:
    found: CatalogService = request.app.state.catalog
    return found


@CATALOG.add("POST", "/products", demand=Permission.EDIT_CATALOG, cost=2, status=201, problems=[CONFLICT],
             example=_PRODUCT, links=_IN_A_NEW_PRODUCT, versioned=True, located=True)  # fmt: skip
async def create_product(request: Request, response: Response, body: NewProduct) -> ProductView:
    """Put up a product.

    Only active products can be seen outside of the store. A slug that is made of the title is one that no product of
    the store has or had; one that is given has to be such a one. SKUs are unique in the store.
    """
    access = access_of(request)
    product = await _service(request).create(
        access.slug, caller_of(request).user.id, body.draft(), body.slug or None, access.standing.tier
    )
    response.headers["location"] = f"/v1/stores/{access.slug}/products/{product.id}"
    return _product(response, product)


@CATALOG.add("GET", "/products", demand=Permission.READ_CATALOG, cost=2,
             example={"products": [_PRODUCT], "next": None},
             links={"list_products": {"store": "$request.path.store", "cursor": "$response.body#/next"}})  # fmt: skip
async def list_products(
    request: Request,
    state: Annotated[State | None, Query(description="Only products of this one.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 20,
    cursor_text: Annotated[
        str, Query(alias="cursor", max_length=MAX_CHARS, description="`next` of the page before.")
    ] = "",
) -> ProductPage:
    """The products of a store in all states, by slug."""
    slug, listed = access_of(request).slug, f"{_LIST} {state or ''} {access_of(request).slug}"
    after = place_of(listed, cursor_text) if cursor_text else ""
    wanted = None if state is None else ProductState(state)
    products, place = await _service(request).page(slug, after, limit, wanted)
    return ProductPage(products=list(map(_view, products)), next=cursor(listed, place) if place else None)


@CATALOG.add("GET", "/products/{product}", demand=Permission.READ_CATALOG, example=_PRODUCT, versioned=True,
             links={"edit_product": {"store": "$request.path.store", "product": "$request.path.product",
                                     "header.If-Match": "$response.header.ETag"}})  # fmt: skip
async def get_product(request: Request, response: Response, product: str) -> ProductView:
    """A product of the store, in any state. The answer's `ETag` is what an edit has to name."""
    return _product(response, await _service(request).get(access_of(request).slug, product))


@CATALOG.add("PATCH", "/products/{product}", demand=Permission.EDIT_CATALOG, cost=2, example=_PRODUCT, versioned=True,
             problems=[STALE, PRECONDITION_REQUIRED, CONFLICT])  # fmt: skip
async def edit_product(request: Request, response: Response, product: str, body: ProductEdit) -> ProductView:
    """Change a product: what is left out stays, and lists are given whole.

    `If-Match` names the version that is edited, as `ETag` said it. Of edits at one time one succeeds. A variant keeps
    its id where its id, its SKU or its values are those of one that was there. Reviews and sales change neither the
    version nor the `ETag`. After a rename the product's earlier slugs go on leading to it.
    """
    access, service = access_of(request), _service(request)
    # Before the version is looked at, so that an unknown product is none whatever was sent.
    before = await service.get(access.slug, product)
    version = edited_version(request, before.version)
    after = await service.edit(access.slug, caller_of(request).user.id, product, fields_of(body), version)
    return _product(response, after)


@CATALOG.add("DELETE", "/products/{product}", demand=Permission.EDIT_CATALOG, cost=2, status=204)
async def delete_product(request: Request, product: str) -> None:
    """Delete a product with its slugs. Who has changed it, and when, can still be read.

    To take a product out of the shop and keep it, set its state to `archived`.
    """
    await _service(request).delete(access_of(request).slug, caller_of(request).user.id, product)


@CATALOG.add("GET", "/products/{product}/changes", demand=Permission.READ_CATALOG,
             example={"changes": [_CHANGE], "next": None},
             links={"list_product_changes": {"store": "$request.path.store", "product": "$request.path.product",
                                             "cursor": "$response.body#/next"}})  # fmt: skip
async def list_product_changes(
    request: Request,
    product: str,
    limit: Annotated[int, Query(ge=1, le=100, description="At most so many.")] = 20,
    cursor_text: Annotated[
        str, Query(alias="cursor", max_length=MAX_CHARS, description="`next` of the page before.")
    ] = "",
) -> ChangePage:
    """Who has changed a product, when, and which of its fields; the newest change first."""
    slug, listed = access_of(request).slug, f"{_CHANGES} {access_of(request).slug} {product}"
    before = number_of(listed, cursor_text) if cursor_text else _HIGHEST_VERSION
    changes, place = await _service(request).history(slug, product, before, limit)
    return ChangePage(changes=list(map(_change, changes)), next=cursor(listed, str(place)) if place else None)


@CATALOG.add("GET", "/categories", demand=Permission.READ_CATALOG, example={"categories": [_CATEGORY]})
async def list_categories(request: Request) -> CategoryList:
    """All categories of a store; of one level in the order in which they are shown."""
    tree = await _service(request).categories(access_of(request).slug)
    return CategoryList(categories=list(map(_category, tree)))


@CATALOG.add("POST", "/categories", demand=Permission.EDIT_CATALOG, cost=2, status=201, problems=[CONFLICT],
             example=_CATEGORY,
             links={"edit_category": _MADE_CATEGORY, "remove_category": _MADE_CATEGORY})  # fmt: skip
async def add_category(request: Request, body: NewCategory) -> CategoryView:
    """Add a category, the last one of its level. There are at most 500 in a store, five deep."""
    slug, actor = access_of(request).slug, caller_of(request).user.id
    return _category(await _service(request).add_category(slug, actor, body.name, body.slug or None, body.parent))


@CATALOG.add("PATCH", "/categories/{category}", demand=Permission.EDIT_CATALOG, cost=2, problems=[CONFLICT],
             example=_CATEGORY)  # fmt: skip
async def edit_category(request: Request, category: str, body: CategoryEdit) -> CategoryView:
    """Rename or move a category: what is left out stays. It cannot be moved into itself, or into one below it."""
    slug, actor = access_of(request).slug, caller_of(request).user.id
    return _category(await _service(request).edit_category(slug, actor, category, fields_of(body)))


@CATALOG.add("DELETE", "/categories/{category}", demand=Permission.EDIT_CATALOG, cost=2, status=204,
             problems=[CONFLICT])  # fmt: skip
async def remove_category(request: Request, category: str) -> None:
    """Remove a category. One that has products, or other categories below it, stays."""
    await _service(request).remove_category(access_of(request).slug, caller_of(request).user.id, category)


def _product(response: Response, product: Product) -> ProductView:
    response.headers["etag"] = f'"{product.version}"'
    return _view(product)


def _view(product: Product) -> ProductView:
    return ProductView(
        id=product.id,
        slug=product.slug,
        title=product.title,
        description=product.description,
        state=product.state.value,
        currency=product.currency,
        options=[OptionView(name=each.name, values=list(each.values)) for each in product.options],
        variants=[
            VariantView(
                id=each.id,
                sku=each.sku,
                values=list(each.values),
                price_minor=each.price_minor,
                compare_at_minor=each.compare_at_minor,
                availability=each.availability.value,
            )
            for each in product.variants
        ],
        images=[ImageView(url=each.url, alt=each.alt) for each in product.images],
        category=product.category,
        rating=product.rating,
        reviews=product.reviews,
        sold=product.sold,
        version=product.version,
        created_at=rfc3339(product.created_at),
        created_by=product.created_by,
        changed_at=rfc3339(product.changed_at),
        changed_by=product.changed_by,
    )


def _change(change: Change) -> ChangeView:
    return ChangeView(
        version=change.version, kind=change.kind, fields=list(change.fields), at=rfc3339(change.at), by=change.by
    )


def _category(category: Category) -> CategoryView:
    return CategoryView(id=category.id, slug=category.slug, name=category.name, parent=category.parent)
