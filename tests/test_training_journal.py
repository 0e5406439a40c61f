import json
import resource

import pytest

from srflow.training.journal import Journal


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def journal(tmp_path, messages) -> Journal:
    return Journal(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", 0, messages.append)


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_full_disk_leaves_a_line_out_whole_and_is_said_once(journal, messages, tmp_path):
    """The limit lets a few bytes of the line through, as a disk that fills up does."""
    journal._writer.close()
    journal._writer = None  # or a thread of TensorBoard's own would fail here, too: see the next test
    journal.write("training", 1, {"loss": 1.0})
    size = (tmp_path / "metrics.jsonl").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
    try:
        journal.write("training", 2, {"loss": 2.0})
        journal.write("training", 3, {"loss": 3.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.write("training", 4, {"loss": 4.0})
    journal.close()
    assert [line["step"] for line in lines(tmp_path)] == [1, 4]
    assert len(messages) == 1
    assert "Training goes on" in messages[0]


def test_a_tensorboard_writer_that_fails_is_left_alone_from_then_on(journal, messages, tmp_path):
    class Failing:
        calls = 0

        def add_scalar(self, *_):
            self.calls += 1
            raise OSError(28, "No space left on device")

        add_image = close = add_scalar

    journal.close()
    failing = journal._writer = Failing()
    journal.write("training", 1, {"loss": 1.0, "skipped": 0})
    journal.write("training", 2, {"loss": 1.0})
    journal.pictures(2, {})
    journal.close()
    assert failing.calls == 1
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]
    assert len(messages) == 1
    assert "No space left" in messages[0]


def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path, messages):
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    journal = Journal(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", 0, messages.append)
    journal.write("training", 1, {"loss": 1.0})
    assert lines(tmp_path)[0]["loss"] == 1.0
    assert len(messages) == 1


@pytest.mark.parametrize("end", ["", '{"kind": "training", "st', '{"kind": "training", "step": 3}\n'])
def test_what_a_killed_run_left_behind_does_not_spoil_the_next_line(tmp_path, messages, end):
    """A newline that never reached the disk, half a line, and a line of a step that will be repeated."""
    text = '{"kind": "training", "step": 1}\n{"kind": "training", "step": 2}'
    (tmp_path / "metrics.jsonl").write_text(f"{text}\n{end}" if end else text)
    Journal(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", 2, messages.append).write("training", 3, {})
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3]
