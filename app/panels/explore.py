"""Exploring: ways to go on from a picture or from several, and the one that is kept. It is all seen in the viewer."""

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
from app.mixing import child_wishes, draw_between, mixing_place
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
from app.ways import draw_ways, plain_wishes
from app.wishes import carry_out, check_wish_place
from srflow.contract import InputError, Wish
from srflow.evaluation.families import check_tree_place
from srflow.steering.wishes import MAX_REFERENCE, Like

__all__ = ["ExplorePanel"]

_WITH_FAMILIES = ("different", "typical", "families")


class ExplorePanel:
    """Has the viewer's wishes done. It has no components of its own."""

    def __init__(self, page: Page, results: ResultsPanel) -> None:
        self.page, self.results = page, results
        self._pools = Pools()
        self.outputs: list[Any] = []
        self.streamed = self.outputs

    def show(self, _view: View, _changed: Collection[Part]) -> Values:
        """The viewer shows it all."""
        return {}

    def wire(self, page: Page) -> None:
        """One event for all that can be asked; one before it."""
        page.start(self.results.viewer.explore, self.work, has_data=True)
        if page.ahead is not None:
            page.ask(self.results.viewer.mask, self.prepare, has_data=True)

    def prepare(self, event: Event) -> Values:
        """A place was chosen, so that rolls of it are likely to be asked for soon. Nobody waits for this."""
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
        """Whatever was asked for."""

        def work(job: Job) -> Iterator[Update]:
            session = event.session
            picture = session.view.picture
            if picture is None:
                raise InputError("There is no picture to explore. Drop one, or choose an example.")
            parse_subject(event.data, f"{picture.subject} {picture.scale_factor}")
            asked = parse_asked(event.data, picture.region.width, picture.region.height)
            if asked.action == "leave":
                changes = {"explored": session.view.closed().explored}
                yield Update(text="Left as it was.", changed=frozenset({Part.EXPLORED}), changes=changes, is_step=False)
                return
            base, _ = find_base(session, asked.id)
            if asked.action == "accept":
                if not _is_way(session, base) or _is_unmoved(session, base):
                    raise InputError("This is what was there before: there is nothing to keep.")
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
        """Ways to go on from one picture."""
        seed = _seed(session.view.explored, asked, base)
        wish = asked.wish
        if asked.source is not None:
            wish = self._likeness(session, asked.source, picture.scale_factor)
        if asked.action == "sliders":
            check_place(asked.mask)  # before anything is taken
        if wish is not None:
            check_wish_place(asked.mask)
        if asked.texts or asked.sources:
            check_candidate_place(asked.mask)
        pieces = [  # before a way is taken
            self._piece(session, each, number, asked, picture) for number, each in enumerate(asked.sources, 1)
        ]
        if asked.action == "families":
            check_tree_place(asked.mask)
        if _is_unmoved(session, base):
            base, _ = find_base(session, session.view.explored.state.id)  # type: ignore[union-attr]
        elif _is_way(session, base):  # going on from a way takes it
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
            wishes, words = plain_wishes(wanted)
        else:
            pool = yield from self._pool(session, job, picture, wanted)
            wishes, words = pool.wishes(kind)
            if not wishes:
                yield _without_families(session, pool.tree.explained)
                return
            wanted = replace(wanted, levels=pool.levels if kind == "families" else ())
        yield from draw_ways(self.page.engine, session, job, picture, wanted, wishes, words)

    def _paint(
        self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord, asked: Asked
    ) -> Iterator[Update]:
        """Temperatures painted into a picture, or a place to paint with."""
        if _is_way(session, base):  # painting on a way takes it
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
        """A place is changed by hand, and brought back."""
        if asked.mask is None or asked.edit is None:
            raise InputError("No place is chosen. Paint over one first, then edit it.")
        pasted = find_base(session, asked.edit.id)[0] if isinstance(asked.edit, Paste) else None
        if _is_way(session, base):  # going on from a way takes it
            yield from accept(session, job, base)
            base, _ = find_base(session, asked.id)
        engine = self.page.engine
        edited = edit_place(engine, base, asked.edit, asked.mask, picture.scale_factor, pasted)
        yield from draw_edit(engine, session, job, picture, edited)

    def _grain(
        self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord, asked: Asked
    ) -> Iterator[Update]:
        """A place gets the grain of another one."""
        if asked.mask is None or asked.source is None:
            raise InputError("No place is chosen. Paint over one first, then click where its grain shall come from.")
        engine = self.page.engine
        source = pixels_of(engine, find_base(session, asked.source.id)[0], asked.source, picture.scale_factor)
        if _is_way(session, base):  # going on from a way takes it
            yield from accept(session, job, base)
            base, _ = find_base(session, asked.id)
        yield from draw_grain(engine, session, job, picture, base, asked.mask, source, new_seed())

    def _piece(
        self, session: Session, source: SourcePlace | CandidateFile, number: int, asked: Asked, picture: OpenedPicture
    ) -> Piece:
        """What is at a place, or in a file, in the size of the chosen place."""
        mask = check_candidate_place(asked.mask)
        if isinstance(source, CandidateFile):
            return piece_of_file(self.page.engine, source, mask, picture.scale_factor)
        record, _ = find_base(session, source.id)
        place = piece_at(source, mask)
        return Piece(f"Piece {number}", pixels_of(self.page.engine, record, place, picture.scale_factor))

    def _likeness(self, session: Session, source: SourcePlace, scale: int) -> Wish:
        """The wish for what a place looks like."""
        pixels = pixels_of(self.page.engine, find_base(session, source.id)[0], source, scale)
        return Like(pixels[:MAX_REFERENCE, :MAX_REFERENCE])

    def _pool(
        self, session: Session, job: Job, picture: OpenedPicture, wanted: Explored
    ) -> Generator[Update, None, Pool]:
        """Those that were compared last, if they are of this picture and place; else new ones."""
        assert wanted.state.recipe is not None
        size = size_for(wanted.kind, wanted.mask)
        pool = self._pools.find(session, wanted.state.recipe, wanted.mask, size)
        if pool is None:
            pool = yield from draw_pool(self.page.engine, job, picture, wanted)
            self._pools.keep(session, pool)
        return pool

    def _draw_family(self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord) -> Iterator[Update]:
        """All that a way stands for."""
        explored = session.view.explored
        pool = None
        if explored is not None and explored.state.recipe is not None and explored.kind in _WITH_FAMILIES:
            pool = self._pools.find(session, explored.state.recipe, explored.mask)
        if explored is None or pool is None or base.recipe is None:
            raise InputError("This one has no family. Show those that differ, choose one of them, and try again.")
        if explored.kind == "families" and base in explored.ways:
            wishes, words = pool.node_family(explored.ways.index(base))
        else:
            wishes, words = pool.family(explored.kind, base.recipe)
        wanted = replace(explored, kind="family", blend=None, levels=())
        yield from draw_ways(self.page.engine, session, job, picture, wanted, wishes, words)

    def _mix(
        self, session: Session, job: Job, picture: OpenedPicture, base: PictureRecord, asked: Asked
    ) -> Iterator[Update]:
        """Children of several pictures, or one between two."""
        others = [find_base(session, name)[0] for name in asked.others]
        parents = [base, *others]
        if len({parent.id for parent in parents}) < max(2, len(parents)):
            raise InputError("A mix needs two pictures or more, each of them once. Tick another one.")
        explored = session.view.explored
        mask = mixing_place(explored, parents, asked.mask)
        if asked.action == "between":
            if len(parents) != 2:
                raise InputError(f"The slider goes from one picture to another; {len(parents)} are ticked.")
            if explored is None or not explored.count:
                explored = Explored(state=_state(explored, base), kind="between", mask=mask)
            ends = base, others[0]
            yield from draw_between(self.page.engine, session, job, picture, explored, ends, asked.dial, mask)
            return
        recipes = [find_base(session, parent.id)[1] for parent in parents]
        wishes, words = child_wishes(recipes, mask, new_seed())
        wanted = Explored(state=_state(explored, base), kind="children", mask=mask)
        yield from draw_ways(self.page.engine, session, job, picture, wanted, wishes, words, recipes[0])


def _without_families(session: Session, explained: float) -> Update:
    """Nothing to choose from, which is said in the place of it."""
    text = f"No families here: groups would explain {100 * explained:.0f} % of what differs. Only texture does."
    explored = session.view.closed().explored
    changed = frozenset({Part.EXPLORED})
    return Update(text=text, changed=changed, changes={"explored": explored}, is_step=False, kind="done", spoken=True)


def _is_way(session: Session, record: PictureRecord) -> bool:
    explored = session.view.explored
    return explored is not None and record in explored.ways


def _is_unmoved(session: Session, way: PictureRecord) -> bool:
    """Whether all sliders are in the middle, so that the way is what was there before."""
    explored = session.view.explored
    return explored is not None and explored.sliders is not None and way.recipe == explored.state.recipe


def _state(explored: Explored | None, first: PictureRecord) -> PictureRecord:
    """What is there before a mix: what has been explored so far; else the first parent."""
    is_there = explored is not None and (explored.has_changes or explored.count)
    return explored.state if explored is not None and is_there else first


def _seed(explored: Explored | None, asked: Asked, base: PictureRecord) -> int:
    """Another dial looks at the same neighbours, nearer, farther or of other latents; all else takes new noise."""
    if explored is None or asked.action != "more" or explored.kind != "more" or not explored.count:
        return new_seed()
    is_moved = (explored.dial, explored.detail) != (asked.dial, asked.detail)
    is_same = explored.state.id == base.id and explored.mask == asked.mask and is_moved
    return explored.seed if is_same else new_seed()
