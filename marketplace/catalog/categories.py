"""The categories of a store: a tree that is kept as a list, in which nothing is its own ancestor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from marketplace.catalog.refusals import CategoryInUse, Fault, InvalidCatalog, NoSuchCategory
from marketplace.catalog.slugs import checked_slug, slug_of_title, with_suffix
from marketplace.identity.tenancy import LimitReached, SlugTaken
from marketplace.texts import is_line

MAX_CATEGORIES: Final = 500
"""Of a store."""

MAX_DEPTH: Final = 5
MAX_NAME_CHARS: Final = 80


@dataclass(frozen=True)
class Category:
    """A category.

    Attributes:
        id: 32 hexadecimal digits; it never changes.
        slug: Its name in addresses and in CSV files, unique in the store.
        name: For people.
        parent: The id of the category that it is in; None at the top.
    """

    id: str
    slug: str
    name: str
    parent: str | None = None


Tree = tuple[Category, ...]
"""The categories of a store; of one level in the order in which they are shown."""


def get(tree: Iterable[Category], id: str) -> Category:
    """The category of that id.

    Raises:
        NoSuchCategory: There is none.
    """
    found = next((category for category in tree if category.id == id), None)
    if found is None:
        raise NoSuchCategory("there is no such category")
    return found


def path_to(tree: Sequence[Category], id: str | None) -> tuple[Category, ...]:
    """A category with all that it is in, the highest first; empty where there is none of that id."""
    by_id = {category.id: category for category in tree}
    path: list[Category] = []
    while id is not None and id in by_id and len(path) <= MAX_DEPTH:
        path.append(by_id[id])
        id = by_id[id].parent
    return tuple(reversed(path))


def below(tree: Iterable[Category], id: str) -> frozenset[str]:
    """The ids of a category and of all that are in it, however deep."""
    every = list(tree)
    found = {id}
    while more := {category.id for category in every if category.parent in found} - found:
        found |= more
    return frozenset(found)


def with_added(tree: Tree, id: str, name: str, slug: str | None = None, parent: str | None = None) -> Tree:
    """The tree with one more category, the last one of its level.

    Args:
        tree: As it is.
        id: Of the new category.
        name: For people.
        slug: None for one that is made of the name.
        parent: The id of the category that it is to be in; None at the top.

    Raises:
        LimitReached: There are as many as there may be.
        InvalidCatalog: A value is not valid, or the tree would be too deep.
        SlugReserved: Nobody can have the slug.
        SlugTaken: Another category has it.
    """
    if len(tree) >= MAX_CATEGORIES:
        raise LimitReached(f"a store has at most {MAX_CATEGORIES} categories")
    name = _checked_name(name)
    made = Category(id, _free_slug(tree, name, id) if slug is None else _free(tree, slug), name, parent)
    return _checked((*tree, made), made)


def with_edited(
    tree: Tree, id: str, *, name: str | None = None, slug: str | None = None, parent: str | object | None = ...
) -> Tree:
    """The tree with a category that has another name, slug or place.

    Args:
        tree: As it is.
        id: Of the category.
        name: The new one; None where it stays.
        slug: The new one; None where it stays.
        parent: The new one, or None for the top; where it is left out, the category stays where it is.

    Raises:
        NoSuchCategory: There is none of that id.
        InvalidCatalog: A value is not valid, the tree would be too deep, or the category would be in itself.
        SlugReserved: Nobody can have the slug.
        SlugTaken: Another category has it.
    """
    before = get(tree, id)
    others = tuple(category for category in tree if category.id != id)
    after = replace(
        before,
        name=before.name if name is None else _checked_name(name),
        slug=before.slug if slug in (None, before.slug) else _free(others, str(slug)),
    )
    if parent is ...:
        return tuple(after if category.id == id else category for category in tree)
    after = replace(after, parent=None if parent is None else str(parent))
    if after.parent in below(tree, id):
        raise InvalidCatalog([Fault("/parent", "circle", "a category cannot be in itself")])
    if after.parent == before.parent:
        return tuple(after if category.id == id else category for category in tree)
    return _checked((*others, after), after)


def without(tree: Tree, id: str) -> Tree:
    """The tree without a category.

    Raises:
        NoSuchCategory: There is none of that id.
        CategoryInUse: Others are in it.
    """
    get(tree, id)
    if any(category.parent == id for category in tree):
        raise CategoryInUse("other categories are in it: move or remove them first")
    return tuple(category for category in tree if category.id != id)


def _checked_name(name: str) -> str:
    plain = name.strip()
    if not is_line(plain, MAX_NAME_CHARS):
        raise InvalidCatalog([Fault("/name", "text", f"give one line of 1 to {MAX_NAME_CHARS} characters")])
    return plain


def _free(tree: Iterable[Category], slug: str) -> str:
    checked_slug(slug)
    if any(category.slug == slug for category in tree):
        raise SlugTaken("another category has it")
    return slug


def _free_slug(tree: Iterable[Category], name: str, id: str) -> str:
    taken = {category.slug for category in tree}
    wanted = slug_of_title(name, "category")
    return with_suffix(wanted, id[:8]) if wanted in taken else wanted


def _checked(tree: Tree, changed: Category) -> Tree:
    if changed.parent is not None and not any(category.id == changed.parent for category in tree):
        raise InvalidCatalog([Fault("/parent", "unknown", "there is no such category")])
    deepest = max(_depth(tree, id) for id in below(tree, changed.id))
    if deepest > MAX_DEPTH:
        raise InvalidCatalog([Fault("/parent", "depth", f"categories are at most {MAX_DEPTH} deep")])
    return tree


def _depth(tree: Tree, id: str | None) -> int:
    by_id = {category.id: category.parent for category in tree}
    depth = 0
    while id is not None and depth <= MAX_CATEGORIES:
        depth, id = depth + 1, by_id.get(id)
    return depth
