"""Exploring: variants of one or several pictures, and keeping one of them. The viewer shows all of it."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import gradio as gr

from app.candidates import Piece, check_candidate_place, piece_at, piece_of_file, try_pieces, try_texts
from app.edits import draw_edit, edit_place
from app.exploring import accept, find_base
from app.grain import draw_grain, pixels_of
from app.mixing import child_ways, draw_between, mixing_place
from app.page import Event, Page
from app.painting import draw_painted, find_place, painting_on
from app.panels.controls import new_seed
from app.panels.results import ResultsPanel
from app.pools import Pool, Pools, draw_pool, size_for
from app.records import Explored, OpenedPicture, PictureRecord, View
from app.session import Job, Session
from app.sliders import check_place, find_sliders, move_sliders
from app.tasks import Part, Update, Values, Work
from app.viewer import Asked, CandidateFile, FoundName, Paste, SourcePlace, WayKind, parse_asked, parse_subject
from app.ways import draw_ways, plain_ways
from app.wishes import carry_out, check_wish_place
from srflow.contract import InputError, Wish
from srflow.evaluation.families import check_tree_place
from srflow.steering.wishes import MAX_REFERENCE, Like

__all__ = ["ExplorePanel"]

_WITH_FAMILIES = ("different", "typical", "families")


class ExplorePanel:
    """Carries out what the viewer requests. The panel has no components of its own."""

    def __init__(self, page: Page, results: ResultsPanel) -> None:
        self.page, self.results = page, results
        self._pools = Pools()
        self.outputs: list[Any] = []
        self.streamed = self.outputs

    def show(self, _view: View, _changed: Collection[Part]) -> Values:
        """Return nothing: the viewer shows the results."""
        return {}

    def wire(self, page: Page) -> None:
        """Wire one event for all requests, and one for preparation."""
        page.start(self.results.viewer.explore, self.work, has_data=True)
        if page.ahead is not None:
            page.ask(self.results.viewer.mask, self.prepare, has_data=True)

    def prepare(self, event: Event) -> Values:
        """Prepare for rolls as soon as a region is selected. Nobody waits for this."""
        picture, shown = event.session.view.picture, {self.page.status: gr.skip()}
        if picture is None or self.page.ahead is None:
            return shown
        with suppress(InputError):
            parse_subject(event.data, f"{picture.subject} {picture.scale_factor}")
            name = event.data.get("id") if isinstance(event.data, dict) else None
            _, recipe = find_base(event.session, str(name)[:100])
            self.page.ahead.draw_state(event.session, picture, recipe)
        return shown

    def work(self, event: Event) -> Work:
        """Return the work for a request."""

        def work(job: Job) -> Iterator[Update]:
            session = event.session
            picture = session.view.picture
            if picture is None:
                raise InputError("There is no picture to explore. Drop one, or choose an example.")
            parse_subject(event.data, f"{picture.subject} {picture.scale_factor}")
            asked = parse_asked(event.data, picture.region.width, picture.region.height)
            if asked.action == "leave":
                changes = {"explored": session.view.closed().explored}
                yield Update(
                    text="Left without changes.", changed=frozenset({Part.EXPLORED}), changes=changes, is_step=False
                )
                return
            base, _ = find_base(session, asked.id)
            if asked.action == "accept":
                if not _is_way(session, base) or _is_unmoved(session, base):
                    raise InputError("This is the picture before the change: there is nothing to keep.")
                yield from accept(session, job, base)
            elif asked.action == "family":
                yield from self._draw_family(session, job, picture, base)
            elif asked.action == "slide":
                explored = session.view.explored or Explored(state=base)
                yield from move_sliders(self.page.engine, session, job, picture, explored, asked.angles)
            elif asked.action in ("children", "between"):
                yield from self._mix(session, job, picture, base, asked)
            elif asked.action == "grain":
                yield from self._grain(session, job, picture, base, asked)
            elif asked.edit is not None:
                yield from self._edit(session, job, picture, base, asked)
            elif asked.action in ("heat", "flat", "uncertain"):
                yield from self._paint(session, job, picture, base, asked)
            else:
                yield from self._draw(session, job, picture, base, asked)

        return work

    def _draw(
        self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord, asked: Asked
    ) -> Iterator[Update]:
        """Draw variants of one picture."""
        seed = _seed(session.view.explored, asked, base)
        wish = asked.wish
        if asked.source is not None:
            wish = self._likeness(session, asked.source, picture.scale_factor)
        if asked.action == "sliders":
            check_place(asked.mask)  # check before a variant is kept
        if wish is not None:
            check_wish_place(asked.mask)
        if asked.texts or asked.sources:
            check_candidate_place(asked.mask)
        pieces = [  # check before a variant is kept
            self._piece(session, each, number, asked, picture) for number, each in enumerate(asked.sources, 1)
        ]
        if asked.action == "families":
            check_tree_place(asked.mask)
        if _is_unmoved(session, base):
            base, _ = find_base(session, session.view.explored.state.id)  # type: ignore[union-attr]
        elif _is_way(session, base):  # continuing from a variant keeps it
            yield from accept(session, job, base)
            base, _ = find_base(session, asked.id)
        kind = cast(WayKind, asked.action if wish is None else "wish")
        wanted = Explored(state=base, kind=kind, mask=asked.mask, seed=seed, dial=asked.dial, detail=asked.detail)
        if kind == "sliders":
            yield from find_sliders(self.page.engine, session, job, picture, wanted)
            return
        if asked.texts:
            yield from try_texts(self.page.engine, session, job, picture, wanted, asked.texts)
            return
        if asked.sources:
            yield from try_pieces(self.page.engine, session, job, picture, wanted, pieces)
            return
        if wish is not None:
            yield from carry_out(self.page.engine, session, job, picture, wanted, wish)
            return
        if kind in ("roll", "more"):
            ways, words = plain_ways(wanted)
        else:
            pool = yield from self._pool(session, job, picture, wanted)
            ways, words = pool.ways(kind)
            if not ways:
                yield _without_families(session, pool.tree.explained)
                return
            wanted = replace(wanted, levels=pool.levels if kind == "families" else ())
        yield from draw_ways(self.page.engine, session, job, picture, wanted, ways, words)

    def _paint(
        self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord, asked: Asked
    ) -> Iterator[Update]:
        """Paint temperatures into a picture, or find a region to paint."""
        if _is_way(session, base):  # painting on a variant keeps it
            yield from accept(session, job, base)
            base, _ = find_base(session, asked.id)
        painting = painting_on(session.view, base)
        if asked.action == "heat":
            yield from draw_painted(self.page.engine, session, job, picture, painting, asked.heat)
        else:
            yield find_place(session.view, painting, picture, cast(FoundName, asked.action))

    def _edit(
        self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord, asked: Asked
    ) -> Iterator[Update]:
        """Change a region by hand, and make the change match the input."""
        if asked.mask is None or asked.edit is None:
            raise InputError("No region is selected. Paint over one first, then edit it.")
        pasted = find_base(session, asked.edit.id)[0] if isinstance(asked.edit, Paste) else None
        if _is_way(session, base):  # continuing from a variant keeps it
            yield from accept(session, job, base)
            base, _ = find_base(session, asked.id)
        engine = self.page.engine
        edited = edit_place(engine, base, asked.edit, asked.mask, picture.scale_factor, pasted)
        yield from draw_edit(engine, session, job, picture, edited)

    def _grain(
        self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord, asked: Asked
    ) -> Iterator[Update]:
        """Give a region the grain of another one."""
        if asked.mask is None or asked.source is None:
            raise InputError(
                "No region is selected. Paint over one first, then click the region to take the grain from."
            )
        engine = self.page.engine
        source = pixels_of(engine, find_base(session, asked.source.id)[0], asked.source, picture.scale_factor)
        if _is_way(session, base):  # continuing from a variant keeps it
            yield from accept(session, job, base)
            base, _ = find_base(session, asked.id)
        yield from draw_grain(engine, session, job, picture, base, asked.mask, source, new_seed())

    def _piece(
        self, session: Session, source: SourcePlace | CandidateFile, number: int, asked: Asked, picture: OpenedPicture
    ) -> Piece:
        """Return what a source region or a file shows, in the size of the selected region."""
        mask = check_candidate_place(asked.mask)
        if isinstance(source, CandidateFile):
            return piece_of_file(self.page.engine, source, mask, picture.scale_factor)
        record, _ = find_base(session, source.id)
        place = piece_at(source, mask)
        return Piece(f"Piece {number}", pixels_of(self.page.engine, record, place, picture.scale_factor))

    def _likeness(self, session: Session, source: SourcePlace, scale: int) -> Wish:
        """Return the wish for the appearance of a source region."""
        pixels = pixels_of(self.page.engine, find_base(session, source.id)[0], source, scale)
        return Like(pixels[:MAX_REFERENCE, :MAX_REFERENCE])

    def _pool(
        self, session: Session, job: Job, picture: OpenedPicture, wanted: Explored
    ) -> Generator[Update, None, Pool]:
        """Return the last pool if it belongs to this picture and region; otherwise draw a new one."""
        assert wanted.state.recipe is not None
        size = size_for(wanted.kind, wanted.mask)
        pool = self._pools.find(session, wanted.state.recipe, wanted.mask, size)
        if pool is None:
            pool = yield from draw_pool(self.page.engine, job, picture, wanted)
            self._pools.keep(session, pool)
        return pool

    def _draw_family(self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord) -> Iterator[Update]:
        """Draw all versions that a variant represents."""
        explored = session.view.explored
        pool = None
        if explored is not None and explored.state.recipe is not None and explored.kind in _WITH_FAMILIES:
            pool = self._pools.find(session, explored.state.recipe, explored.mask)
        if explored is None or pool is None or base.recipe is None:
            raise InputError(
                "This picture represents no family. Show the five that differ, choose one of them, and try again."
            )
        if explored.kind == "families" and base in explored.ways:
            ways, words = pool.node_family(explored.ways.index(base))
        else:
            ways, words = pool.family(explored.kind, base.recipe)
        wanted = replace(explored, kind="family", blend=None, levels=())
        yield from draw_ways(self.page.engine, session, job, picture, wanted, ways, words)

    def _mix(
        self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord, asked: Asked
    ) -> Iterator[Update]:
        """Draw mixtures of several pictures, or one between two."""
        others = [find_base(session, name)[0] for name in asked.others]
        parents = [base, *others]
        if len({parent.id for parent in parents}) < max(2, len(parents)):
            raise InputError("A mixture needs at least two different pictures. Tick another one.")
        explored = session.view.explored
        mask = mixing_place(explored, parents, asked.mask)
        if asked.action == "between":
            if len(parents) != 2:
                raise InputError(
                    "The slider goes from one picture to another, so it needs 2 ticked pictures; "
                    f"{len(parents)} are ticked."
                )
            if explored is None or not explored.count:
                explored = Explored(state=_state(explored, base), kind="between", mask=mask)
            ends = base, others[0]
            yield from draw_between(self.page.engine, session, job, picture, explored, ends, asked.dial, mask)
            return
        recipes = [find_base(session, parent.id)[1] for parent in parents]
        ways, words = child_ways(recipes, mask, new_seed())
        wanted = Explored(state=_state(explored, base), kind="children", mask=mask)
        yield from draw_ways(self.page.engine, session, job, picture, wanted, ways, words, recipes[0])


def _without_families(session: Session, explained: float) -> Update:
    """Return a view without variants, with a message that says why."""
    text = f"No families here: groups would explain only {100 * explained:.0f} % of the variance. Only texture differs."
    explored = session.view.closed().explored
    changed = frozenset({Part.EXPLORED})
    return Update(text=text, changed=changed, changes={"explored": explored}, is_step=False, kind="done", spoken=True)


def _is_way(session: Session, record: PictureRecord) -> bool:
    explored = session.view.explored
    return explored is not None and record in explored.ways


def _is_unmoved(session: Session, way: PictureRecord) -> bool:
    """Return whether all sliders are in the middle, so that the variant equals the previous picture."""
    explored = session.view.explored
    return explored is not None and explored.sliders is not None and way.recipe == explored.state.recipe


def _state(explored: Explored | None, first: PictureRecord) -> PictureRecord:
    """Return the picture before a mixture: the explored one, otherwise the first parent."""
    is_there = explored is not None and (explored.has_changes or explored.count)
    return explored.state if explored is not None and is_there else first


def _seed(explored: Explored | None, asked: Asked, base: PictureRecord) -> int:
    """Return the seed: another dial value keeps the same neighbours at a different strength; everything else gets new
    noise.
    """
    if explored is None or asked.action != "more" or explored.kind != "more" or not explored.count:
        return new_seed()
    is_moved = (explored.dial, explored.detail) != (asked.dial, asked.detail)
    is_same = explored.state.id == base.id and explored.mask == asked.mask and is_moved
    return explored.seed if is_same else new_seed()
