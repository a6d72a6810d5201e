"""Reading a journal beside its writer: each row once, as soon as it is whole, and never a byte written."""

from __future__ import annotations

from pathlib import Path

from gitrepro.store.follow_journal import JournalFollower
from gitrepro.store.journal import JournalWriter


def rows(follower: JournalFollower) -> list[tuple[int, dict]]:
    return [(news.step, dict(news.values)) for news in follower.news() if news.values]


def test_each_row_comes_once(tmp_path):
    writer, follower = JournalWriter(tmp_path, run_id="r"), JournalFollower(tmp_path)
    writer.row({"loss": 0.5}, 1)
    assert rows(follower) == [(1, {"loss": 0.5})]
    assert rows(follower) == []

    writer.row({"loss": 0.4, "acc": 1}, 2)
    writer.row({"loss": 0.3}, 3)
    assert rows(follower) == [(2, {"loss": 0.4, "acc": 1}), (3, {"loss": 0.3})]


def test_half_a_row_is_waited_for(tmp_path):
    writer, follower = JournalWriter(tmp_path, run_id="r"), JournalFollower(tmp_path)
    writer.row({"loss": 0.5}, 1)
    path = next(tmp_path.glob("journal.*"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert rows(follower) == []

    path.write_bytes(whole)
    assert rows(follower) == [(1, {"loss": 0.5})]


def test_damage_costs_only_what_it_hits(tmp_path):
    writer, follower = JournalWriter(tmp_path, run_id="r"), JournalFollower(tmp_path)
    for step in range(3):
        writer.row({"loss": 0.5}, step)
    path = next(tmp_path.glob("journal.*"))
    data = bytearray(path.read_bytes())
    data[-70] ^= 1
    path.write_bytes(data)

    assert [step for step, _ in rows(follower)] == [0, 2]


def test_events_ranks_and_sources_are_told(tmp_path):
    JournalWriter(tmp_path, run_id="r", rank=3).event({"op": "define", "name": "x"})
    JournalWriter(tmp_path, run_id="r", source="intake").row({"0/loss": 1}, 7)
    news = {(each.rank, each.source): each for each in JournalFollower(tmp_path).news()}

    assert news[3, ""].event["op"] == "define"
    assert (news[0, "intake"].step, dict(news[0, "intake"].values)) == (7, {"0/loss": 1})


def test_a_folder_that_is_set_aside_says_nothing_more(tmp_path):
    folder = tmp_path / "live"
    folder.mkdir()
    JournalWriter(folder, run_id="r").row({"loss": 0.5}, 1)
    follower = JournalFollower(folder)
    folder.rename(tmp_path / "done")

    assert rows(follower) == []


def test_only_new_bytes_are_read(tmp_path, monkeypatch):
    from gitrepro.store import follow_journal

    writer, follower = JournalWriter(tmp_path, run_id="r"), JournalFollower(tmp_path)
    starts: list[int] = []

    def watched(file, *, start: int = 0):
        starts.append(start)
        return frames(file, start=start)

    frames = follow_journal.Frames
    monkeypatch.setattr(follow_journal, "Frames", watched)
    for step in range(3):
        writer.row({"loss": 0.5}, step)
        before: int = next(Path(tmp_path).glob("journal.*")).stat().st_size
        assert len(rows(follower)) == 1
        assert starts[-1] < before
    assert starts == sorted(set(starts))
