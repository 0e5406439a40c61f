"""Sessions: which request wins, what stays after Stop, which files exist, which sessions are closed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app import visitors as sessions_module
from app.history import History
from app.records import OpenedPicture, PictureRecord, Region, Run, Source, View
from app.session import Session
from app.settings import Settings
from app.tasks import ALL, Part, Update, perform
from app.visitors import Sessions
from srflow.contract import Cancelled, InputError

SETTINGS = Settings(model="fake-x4", temperature=0.9)


def open_picture(session: Session, serial: int, name: str = "a") -> OpenedPicture:
    """Run a job that shows a picture, from begin to end."""
    job = session.begin(serial, Source(session.folder / "file", name=name))
    folder = session.new_folder(job, "picture")
    picture = OpenedPicture(
        folder=folder,
        files=folder,
        source=session.source,
        width=20,
        height=20,
        scale_factor=4,
        has_truth=False,
        region=Region(0, 0, 20, 20),
        subject=name,
    )
    assert session.commit(job, picture=picture, run=None)
    session.end(job)
    return picture


def run_with(session: Session, job, count: int, seed: int = 0, is_drawing: bool = True) -> Run:
    folder = session.new_folder(job, "run")
    pictures = tuple(
        PictureRecord(id=f"s{i}", label=f"Sample {i + 1}", kind="sample", path=folder / f"{i}.png")
        for i in range(count)
    )
    settings = replace(SETTINGS, seed=seed)
    picture = session.view.picture
    return Run(folder=folder, picture=picture, settings=settings, pictures=pictures, is_drawing=is_drawing)


# ---------------------------------------------------------------- the order of requests


def test_two_requests_reversed_by_the_network_leave_the_later_one(session):
    later = session.begin(5)
    assert session.begin(4) is None
    assert session.begin(5) is None, "the same number is no newer request"
    assert session.commit(later, measure="rgb").measure == "rgb"
    assert not later.cancel.is_set()


def test_a_newer_request_cancels_the_older_one_and_shuts_it_out(session):
    older = session.begin(1)
    newer = session.begin(2)
    assert older.cancel.is_set()
    assert session.commit(older, measure="rgb") is None
    assert session.move(older, History.undo) is None
    assert session.view.measure == "luma"
    session.end(older)
    assert not newer.cancel.is_set()


def test_stop_ends_what_is_older_only(session):
    old = session.begin(1)
    session.stop(2)
    assert old.cancel.is_set()
    assert session.begin(2) is None, "a request that waited in the queue while Stop was pressed"
    new = session.begin(4)
    session.stop(3)
    assert not new.cancel.is_set(), "a late Stop is not meant for what was asked after it"


def test_the_last_picture_asked_for_is_the_one_whatever_is_open(session):
    open_picture(session, 1, "first")
    upload = session.begin(2, Source(Path("upload.png")))
    sample = session.begin(3)
    assert upload.cancel.is_set()
    assert session.source.path == Path("upload.png"), "Sample during an upload means the upload"
    session.settle(sample)
    assert session.source.name == "first", "nothing came of it: the picture shown is the one asked for"


def test_amending_the_view_does_not_disturb_the_work(session):
    job = session.begin(5)
    assert session.amend(9, measure="rgb").measure == "rgb"
    assert session.amend(8, measure="luma") is None
    assert session.commit(job, settings=SETTINGS).measure == "rgb"
    assert not job.cancel.is_set()


def test_messages_of_a_newer_job_begin_after_the_one_that_is_on_its_way(session):
    older, told = session.begin(1), []

    def tell():
        with session.telling(session.begin(2)) as may_tell:
            told.append(may_tell)

    with session.telling(older) as may_tell:
        assert may_tell
        thread = threading.Thread(target=tell)
        thread.start()
        thread.join(0.1)
        assert not told, "the older message has not arrived yet"
    thread.join()
    assert told == [True]
    with session.telling(older) as may_tell:
        assert not may_tell, "it would arrive after a newer one"


def test_a_reader_that_is_gone_is_not_waited_for(session, monkeypatch):
    monkeypatch.setattr("app.session.TELLING_SECONDS", 0.01)
    with session.telling(session.begin(1)), session.telling(session.begin(2)) as may_tell:
        assert may_tell


def test_each_change_of_what_is_shown_has_a_higher_revision(session):
    open_picture(session, 1)
    seen = [session.view.revision]

    def note():
        seen.append(session.view.revision)

    job = session.begin(2)
    session.commit(job, settings=SETTINGS)
    note()
    session.amend(3, measure="rgb")
    note()
    session.name_step(4, session.steps()[-1].number, "name")
    note()
    session.pin_step(5, session.steps()[-1].number, True)
    note()
    session.compare(6, session.steps()[0].number)
    note()
    session.move(session.begin(7), History.undo)
    note()
    session.settle(session.begin(8))
    note()
    assert seen == sorted(set(seen))


def test_samples_that_were_asked_for_are_drawn_by_the_event_that_overtakes(session):
    open_picture(session, 1)
    session.begin(2, wants_samples=True)  # and it has not begun to draw
    assert session.begin(3).wants_samples
    session.begin(4, wants_samples=True)
    assert not session.begin(5, Source(session.folder / "other")).wants_samples, "another picture"


# ---------------------------------------------------------------- work: finished, superseded, stopped, failed


def updates_of(session, job, work, **options):
    return list(perform(session, job, work, **options))


def test_work_that_finishes_is_what_is_shown(session):
    open_picture(session, 1)

    def work(job):
        yield Update(text="begun", fraction=0.0)
        yield Update(text="done", changed=ALL, changes={"run": run_with(session, job, 2)})

    texts = [update.text for update, _ in updates_of(session, session.begin(2), work)]
    assert texts == ["begun", "done"]
    assert len(session.view.run.samples) == 2
    assert not session.is_busy


def test_work_that_is_superseded_leaves_no_trace(session):
    open_picture(session, 1)
    before = session.view
    reached = []

    def slow_to_notice(job):
        yield Update(text="begun", fraction=0.0)
        session.begin(3)
        yield Update(text="late", changed=ALL, changes={"run": run_with(session, job, 2)})
        reached.append("after")
        yield Update(text="later")

    shown = [update.text for update, _ in updates_of(session, session.begin(2), slow_to_notice)]
    assert shown == ["begun"]
    assert session.view == before
    assert not reached
    assert not list(session.folder.glob("run-*"))


@pytest.mark.parametrize("end", [Cancelled("x"), InputError("It is wrong."), ZeroDivisionError("secret")])
def test_before_its_first_result_work_goes_back_to_what_was_there(session, end):
    open_picture(session, 1)
    first = session.begin(2)
    session.commit(first, run=run_with(session, first, 4, is_drawing=False))
    session.end(first)
    before = session.view

    def work(job):
        yield Update(text="begun", changed=frozenset({Part.ROWS}), draft=replace(before, run=None))
        session.stop(4)
        raise end

    (_, draft), (last, view) = updates_of(session, session.begin(3), work)
    assert draft.run is None
    assert view == session.view == before
    assert last.changed == ALL
    assert last.kind == ("" if isinstance(end, Cancelled) else "error")
    assert "secret" not in last.text


def test_after_its_first_result_stopped_work_stays_as_far_as_it_went(session):
    open_picture(session, 1)

    def work(job):
        yield Update(text="one", changed=ALL, changes={"run": run_with(session, job, 1)})
        session.stop(3)
        job.check()

    (_, (last, view)) = updates_of(session, session.begin(2), work)
    assert last.text == "Stopped after 1 of 8 samples."
    assert len(view.run.samples) == 1
    assert not view.run.is_drawing
    assert (view.run.folder).exists()


def test_a_reader_that_leaves_ends_the_work(session):
    jobs = []

    def work(job):
        jobs.append(job)
        while True:
            yield Update(text="on", fraction=None)

    stream = perform(session, session.begin(1), work)
    next(stream)
    stream.close()
    assert jobs[0].cancel.is_set()
    assert not session.is_busy


def test_nothing_is_done_for_a_request_that_came_too_late(session):
    session.stop(7)
    assert not updates_of(session, session.begin(6), lambda job: 1 / 0)


def test_what_was_half_shown_is_put_right_by_the_next_job(session):
    open_picture(session, 1)
    half = session.begin(2)
    session.commit(half, run=run_with(session, half, 1))

    def sweep(job):
        yield Update(text="sweeping", fraction=0.0, changed=frozenset({Part.SWEEP}))

    ((update, view),) = updates_of(session, session.begin(3), sweep)
    assert update.changed == ALL, "the viewer must not go on waiting"
    assert not view.run.is_drawing


# ---------------------------------------------------------------- history


def draw(session: Session, serial: int, seed: int, is_drawing: bool = False) -> View:
    job = session.begin(serial)
    session.commit(job, run=run_with(session, job, 2, seed, is_drawing))
    if not is_drawing:
        session.end(job)
    return session.view


def travel(session: Session, serial: int, to) -> View | None:
    job = session.begin(serial)
    view = session.move(job, to)
    session.end(job)
    return view


def test_a_set_that_was_replaced_is_one_undo_away_with_its_files(session):
    open_picture(session, 1)
    first = draw(session, 2, seed=1)
    second = draw(session, 3, seed=2)
    assert travel(session, 4, History.undo) == first == session.view
    assert first.run.folder.exists()
    assert second.run.folder.exists(), "Redo needs it"
    assert travel(session, 5, History.redo) == second
    assert travel(session, 6, History.redo) is None
    assert session.view == second


def test_a_change_after_undo_is_a_branch_and_loses_nothing():
    history = History(View(measure="0"))
    for name in "12":
        history.push(View(measure=name))
    history.undo()
    history.push(View(measure="3"))
    assert [step.view.measure for step in history.steps()] == ["0", "1", "2", "3"]
    assert history.go(2).measure == "2"
    assert history.undo().measure == "1"
    assert history.redo().measure == "2", "redo follows the branch visited last"
    assert history.go(99) is None


def test_a_drag_of_a_slider_is_one_step(session):
    open_picture(session, 1)
    before = draw(session, 2, seed=1)
    for serial in (3, 4, 5):
        draw(session, serial, seed=serial, is_drawing=True)
    assert session.view.run.settings.seed == 5
    assert travel(session, 9, History.undo) == before


def test_undo_before_anything_is_shown_only_cancels(session):
    open_picture(session, 1)
    shown = draw(session, 2, seed=1)
    session.begin(3)  # draws, and has shown nothing yet
    assert travel(session, 4, History.undo) == shown


def test_undo_brings_back_the_picture_that_is_asked_for(session):
    open_picture(session, 1, "cat")
    open_picture(session, 2, "coffee")
    travel(session, 3, History.undo)
    assert session.source.name == session.view.picture.source.name == "cat"


def test_the_history_is_bounded_and_its_files_go_with_it(sessions):
    session = sessions.open()
    open_picture(session, 1)
    for number in range(40):
        draw(session, number + 2, seed=number)
    assert len(list(session.folder.glob("run-*"))) <= 24
    assert session.view.run.folder.exists()
    history = History(View(), max_bytes=100)
    for number in range(5):
        history.push(View(measure=str(number)), num_bytes=60)
    assert [step.view.measure for step in history.steps()] == ["4"]


# ---------------------------------------------------------------- files and visitors


def test_files_live_as_long_as_a_view_names_them_or_a_job_runs(session):
    open_picture(session, 1)
    job = session.begin(2)
    folder = session.new_folder(job, "run")
    other = session.begin(3)
    session.end(other)
    assert folder.exists(), "the older job may be about to write"
    session.end(job)
    assert not folder.exists()
    assert session.view.picture.folder.exists()


def test_an_upload_is_ours_and_survives_gradios_own_copy(session, tmp_path):
    upload = tmp_path / "theirs.png"
    upload.write_bytes(b"pixels")
    path = session.adopt(upload)
    upload.unlink()
    session.end(session.begin(1, Source(path)))
    assert path.read_bytes() == b"pixels"
    assert path.name == "theirs.png"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("holiday (1).JPG", "holiday_1_.JPG"),
        ("page.html", "page_html"),
        ("a.png.svg", "a_png_svg"),
        ("no suffix", "no_suffix"),
        ("ü" * 100 + ".png", ("ü" * 100 + ".png")[-100:]),
    ],
)
def test_uploads_keep_their_names_but_none_that_a_browser_would_run(session, tmp_path, name, kept):
    (tmp_path / name).write_bytes(b"<script>")
    assert session.adopt(tmp_path / name).name == kept


def test_visitors_have_their_own_files_which_go_with_them(sessions):
    first, second = sessions.open(), sessions.open()
    assert first.folder != second.folder
    sessions.forget(first)
    assert not first.folder.exists()
    assert second.folder.exists()
    assert first.begin(1) is None
    for gone, words in ((first, "reload"), (None, "set up"), ("x", "reload")):
        with pytest.raises(InputError, match=words):
            sessions.check(gone)


def test_the_visitor_idle_longest_goes_first_but_nobody_at_work(sessions, monkeypatch):
    monkeypatch.setattr(sessions_module, "MAX_SESSIONS", 3)
    at_work, idle, recent = sessions.open(), sessions.open(), sessions.open()
    job = at_work.begin(1)
    idle.used_at, at_work.used_at = time.monotonic() - 50, time.monotonic() - 100
    sessions.open()
    assert at_work.folder.exists()
    assert recent.folder.exists()
    assert not idle.folder.exists()
    at_work.end(job)
    at_work.used_at = time.monotonic() - 100
    sessions.open()
    assert not at_work.folder.exists()


def test_a_page_left_open_for_hours_keeps_its_files_and_one_left_for_days_does_not(sessions):
    session, forgotten = sessions.open(), sessions.open()
    open_picture(session, 1)
    session.used_at -= 10 * 3600
    forgotten.used_at -= 30 * 3600
    sessions.open()
    assert sessions.check(session).view.picture.folder.exists()
    assert not forgotten.folder.exists()


def test_folders_of_a_program_that_was_killed_go_at_the_next_start(tmp_path):
    code = (
        "import os, sys; from app.visitors import Sessions\n"
        "sessions = Sessions(sys.argv[1]); sessions.open(); print(sessions.root, flush=True); os._exit(1)"
    )
    root = Path(__file__).resolve().parents[1]
    with Sessions_closed(tmp_path) as living:
        left = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True, timeout=600
        ).stdout.strip()
        assert Path(left).exists()
        other = Sessions(tmp_path)
        assert not Path(left).exists()
        assert living.root.exists(), "a program that runs keeps its own"
        other.close()
    assert not list(tmp_path.iterdir())


class Sessions_closed:  # noqa: N801 - reads as what it is
    def __init__(self, parent):
        self.sessions = Sessions(parent)

    def __enter__(self):
        return self.sessions

    def __exit__(self, *_):
        self.sessions.close()


def test_many_threads_at_once_leave_one_winner(session):
    open_picture(session, 1)
    barrier = threading.Barrier(8)

    def race(serial: int) -> None:
        def work(job):
            yield Update(text="x", changed=ALL, changes={"run": run_with(session, job, 1, seed=serial)})

        barrier.wait()
        list(perform(session, session.begin(serial), work))

    threads = [threading.Thread(target=race, args=(serial,)) for serial in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert session.view.run.settings.seed == 9
    assert session.view.run.folder.exists()
