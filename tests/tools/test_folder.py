"""The folder of a run: nothing that was saved is lost by starting again."""

from __future__ import annotations

import os

import pytest

from microgpt.tools.checkpoint import CommandSettings, load_checkpoint
from microgpt.tools.files import CannotWrite
from microgpt.tools.folder import RunFolder
from tests.helpers import contents, small_run


def started(**more):
    """Return a run that has some steps to go."""
    run, _, _ = small_run(**{"take": 3, "steps": 9, **more})
    return run


def finished(**more):
    run, _, _ = small_run(**{"take": 9, "steps": 9, **more})
    return run


SETTINGS = CommandSettings("names.txt", "1234")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def save(out, run, resumed=False, settings=SETTINGS):
    """Save run in out as a command does, with a table and a picture beside it."""
    place = RunFolder(str(out), resumed)
    place.make()
    line = place.save(run, settings)
    for name in ("losses.csv", "loss.svg"):
        with open(os.path.join(place.folder, name), "w", encoding="utf-8") as file:
            file.write(repr(run.losses))
    return place, line


def step_in(folder):
    run = load_checkpoint(str(folder / "checkpoint.json"))
    # The three files of a run stay together.
    for name in ("losses.csv", "loss.svg"):
        assert (folder / name).read_text(encoding="utf-8") == repr(run.losses)
    return run.step


def test_the_first_run_is_saved_in_a_folder_that_is_made(out):
    place, line = save(out / "deeper", started())
    assert line == ""
    assert step_in(out / "deeper") == 3
    assert sorted(os.listdir(out / "deeper")) == [
        "checkpoint.json",
        "loss.svg",
        "losses.csv",
    ]
    assert place.path == os.path.join(str(out), "deeper", "checkpoint.json")


def test_a_new_run_moves_an_earlier_one_aside_whole_and_says_so(out):
    save(out, started(take=5))
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    _, line = save(out, started(take=3))
    assert line == (
        f"what was in {out} from an earlier run is now in "
        f"{os.path.join(str(out), 'previous-1')}"
    )
    assert step_in(out) == 3
    assert step_in(out / "previous-1") == 5
    assert (out / "notes.txt").exists()
    _, line = save(out, started(take=4))
    assert "previous-2" in line
    assert [step_in(out / name) for name in (".", "previous-1", "previous-2")] == [
        4,
        5,
        3,
    ]


def test_nothing_is_moved_before_the_first_save(out):
    save(out, started())
    RunFolder(str(out), resumed=False).make()
    assert not (out / "previous-1").exists()


def test_a_run_replaces_what_it_has_saved_itself(out):
    place, _ = save(out, started(take=3))
    assert place.save(started(take=4), SETTINGS) == ""
    assert load_checkpoint(place.path).step == 4
    assert not (out / "previous-1").exists()


def test_a_resumed_run_replaces_the_one_it_goes_on_with(out):
    save(out, started())
    _, line = save(out, finished(), resumed=True)
    assert line == ""
    assert step_in(out) == 9
    assert not (out / "previous-1").exists()


def test_a_finished_run_may_be_replaced_by_its_equal(out):
    save(out, finished())
    _, line = save(out, finished())
    assert line == ""
    assert not (out / "previous-1").exists()


@pytest.mark.parametrize(
    "other",
    [
        {"steps": 10, "take": 10},
        {"learning_rate": 0.02},
        {"seed": 7},
        {"names": ["ada", "bob"]},
        {"sizes": {"n_embd": 8}},
        {"take": 5},  # finished only may replace finished
    ],
)
def test_a_finished_run_is_kept_if_the_new_one_is_another_or_unfinished(out, other):
    save(out, finished())
    _, line = save(out, finished(**other))
    assert "previous-1" in line
    assert step_in(out / "previous-1") == 9


def test_a_finished_run_is_kept_if_the_data_are_others(out):
    save(out, finished())
    save(out, finished(), settings=CommandSettings("names.txt", "5678"))
    assert step_in(out / "previous-1") == 9


def test_a_run_with_the_same_settings_that_came_to_other_numbers_is_kept(out):
    # It was resumed with another learning rate on its way, for example.
    run = finished()
    run.losses[4] += 1e-9
    save(out, run)
    save(out, finished())
    assert load_checkpoint(str(out / "previous-1" / "checkpoint.json")).losses == (
        run.losses
    )


def test_a_file_that_is_no_checkpoint_is_moved_aside_too(out):
    out.mkdir()
    (out / "checkpoint.json").write_text("mine", encoding="utf-8")
    _, line = save(out, finished())
    assert "previous-1" in line
    assert (out / "previous-1" / "checkpoint.json").read_text("utf-8") == "mine"


def test_of_two_runs_in_one_folder_the_later_one_makes_room(out):
    first, second = [RunFolder(str(out), resumed=False) for _ in range(2)]
    first.make()
    second.make()
    assert first.save(started(take=3), SETTINGS) == ""
    line = second.save(started(take=5), SETTINGS)
    own = os.path.join(str(out), "previous-1")
    assert line == (
        f"another run has been saved in {out} meanwhile, so this one is saved in {own}"
    )
    assert second.save(started(take=6), SETTINGS) == ""  # from then on
    assert first.save(started(take=4), SETTINGS) == ""
    assert load_checkpoint(first.path).step == 4
    assert load_checkpoint(second.path).step == 6
    assert second.path == os.path.join(own, "checkpoint.json")


def test_a_resumed_run_does_not_write_over_one_that_has_started_meanwhile(out):
    save(out, started())
    resumed = RunFolder(str(out), resumed=True)
    resumed.make()
    save(out, started(take=4))  # moves the first aside
    assert "previous-2" in resumed.save(started(take=5), SETTINGS)
    assert [step_in(out), step_in(out / "previous-1")] == [4, 3]
    assert load_checkpoint(resumed.path).step == 5


def test_a_folder_that_was_removed_meanwhile_is_made_again(out):
    place, _ = save(out, started())
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    assert place.save(started(take=4), SETTINGS) == ""
    assert load_checkpoint(place.path).step == 4


def test_what_was_moved_is_said_even_if_the_save_after_it_fails_at_first(
    out, monkeypatch
):
    save(out, started(take=5))
    place = RunFolder(str(out), resumed=False)

    def full(descriptor):
        raise OSError(28, "No space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        for _ in range(2):
            with pytest.raises(
                CannotWrite, match=r"No space left \(what was in .*-1\)"
            ):
                place.save(started(), SETTINGS)
    assert "previous-1" in place.save(started(take=4), SETTINGS)
    assert step_in(out / "previous-1") == 5
    assert load_checkpoint(place.path).step == 4
    assert not (out / "previous-2").exists()


def test_a_table_that_cannot_be_moved_is_copied(out, monkeypatch):
    # As on Windows, when it is open in a spreadsheet.
    save(out, started(take=5))
    replace = os.replace

    def locked(source, target):
        if os.path.basename(source) == "losses.csv":
            raise PermissionError(13, "in use")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", locked)
        RunFolder(str(out), resumed=False).save(started(), SETTINGS)
    assert step_in(out / "previous-1") == 5


def test_what_cannot_be_moved_stays_and_can_be_tried_again(out, monkeypatch):
    save(out, started(take=5))
    place = RunFolder(str(out), resumed=False)

    def full(path, **more):
        raise OSError(28, "No space left")

    with monkeypatch.context() as patched:
        patched.setattr(os, "makedirs", full)
        with pytest.raises(CannotWrite, match="No space left"):
            place.save(started(), SETTINGS)
    assert step_in(out) == 5
    assert "previous-1" in place.save(started(), SETTINGS)
    assert step_in(out / "previous-1") == 5


@pytest.mark.parametrize("place", ["taken", "taken/run"])
def test_an_out_that_is_a_file_or_under_one_is_named_and_left_alone(tmp_path, place):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cannot make .*taken"):
        RunFolder(str(tmp_path / place), resumed=False).make()
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name == "nt", reason="making links needs a permission there")
def test_an_out_that_is_a_link_to_nothing_is_named_with_what_to_do(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ValueError, match="is a link to nowhere, which is not there"):
        RunFolder(str(tmp_path / "link"), resumed=False).make()
    assert os.listdir(tmp_path) == ["link"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can write anywhere"
)
def test_a_folder_that_cannot_be_written_in_is_named(tmp_path):
    os.chmod(tmp_path, 0o500)
    try:
        with pytest.raises(ValueError, match=r"cannot write in .*Permission denied"):
            RunFolder(str(tmp_path), resumed=False).make()
    finally:
        os.chmod(tmp_path, 0o700)


def test_saving_in_a_folder_of_its_own_changes_nothing_in_the_run(out):
    run = started()
    place, _ = save(out, run)
    assert repr(contents(load_checkpoint(place.path))) == repr(contents(run))
