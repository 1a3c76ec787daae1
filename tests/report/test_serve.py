"""The served report follows its study: runs in progress, then their verdict."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poolbench.report.build import findings_of, write_report
from poolbench.report.serve import LiveReport
from poolbench.runs.progress import PROGRESS, RunProgress, runs_in_progress
from poolbench.runs.record import RECORD
from poolbench.runs.schema import write_json
from poolbench.runs.study import read_study
from tests.conftest import ROOT, plan, rejection
from tests.report.browser import wait_until
from tests.report.studies import HOSTILE, Tags, declare, spec_of, write_run, write_study

ACCURACIES = {"cls": 0.6, "attention": 0.95, "conv": 0.7}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A declared study without results."""
    folder = tmp_path / "live"
    declare(folder, [spec_of(folder, pooler, seed) for pooler in ACCURACIES for seed in range(5)])
    return folder


@pytest.fixture
def server(study: Path) -> Iterator[LiveReport]:
    with LiveReport(study, lambda: write_report(findings_of(study))[0], 0) as served:
        threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
        yield served
        served.shutdown()


def get(server: LiveReport, path: str = "") -> str:
    with urllib.request.urlopen(server.address + path, timeout=60) as answer:
        return answer.read().decode()


def start_run(study: Path, label: str = "conv", **changed: object) -> Path:
    """The progress file of a run."""
    folder = study / spec_of(study, "conv", 4).path
    folder.mkdir(parents=True, exist_ok=True)
    history = [{"epoch": e, "val/accuracy": 0.5 + e / 10, "val/loss": 1.0} for e in range(3)]
    parts = {"epoch": 4, "epochs": 10, "seconds_left": 61.0, "history": history} | changed
    write_json(folder / PROGRESS, RunProgress(label=label, **parts))
    return folder / PROGRESS


def test_the_report_is_built_again_when_a_record_appears(server, study: Path) -> None:
    assert "No run has finished" in Tags(get(server, "report.html")).text
    before = get(server, "live")
    write_study(study, ACCURACIES)
    assert get(server, "live") != before
    text = Tags(get(server, "report.html?1")).text
    assert text.strip().startswith("live: which pooler?")
    assert "use attention" in text
    # The written report neither asks for anything nor reloads.
    written = (study / "report.html").read_text()
    assert written == get(server, "report.html")
    assert "fetch(" not in written.rpartition("<script>")[2]


def test_the_report_is_built_once_for_each_state(study: Path) -> None:
    built = []

    def build() -> Path:
        built.append(1)
        (study / "page.html").write_text("page")
        return study / "page.html"

    with LiveReport(study, build, 0) as server:
        assert [server.report() for _ in range(3)] == [b"page"] * 3
        write_run(study, "cls", 0)
        server.report()
    assert len(built) == 2


def test_runs_in_progress_show_epoch_curves_and_time_left(server, study: Path) -> None:
    assert "No run is training" in get(server, "live")
    path = start_run(study, HOSTILE)
    page = get(server, "live")
    found = Tags(page)
    assert HOSTILE in found.text
    assert "script" not in found.tags
    for words in ("4 of 10", "at most 2 min", "val/accuracy 0.7000", "val/loss 1.0000"):
        assert words in found.text
    assert found.tags.count("polyline") == 2
    os.utime(path, (time.time() - 3600,) * 2)
    assert "no update for 60 min: interrupted?" in get(server, "live")
    start_run(study, seconds_left=None, history=[])
    assert "not known yet" in get(server, "live")


def test_a_progress_file_is_no_result_and_a_newer_record_replaces_it(study: Path) -> None:
    start_run(study)
    assert len(runs_in_progress(study)) == 1
    assert read_study(study).finished == []
    record = write_run(study, "conv", 4)
    later = time.time() + 10
    os.utime(record.folder / RECORD, (later, later))
    assert runs_in_progress(study) == []
    os.utime(record.folder / PROGRESS, (later + 1,) * 2)  # trained again: rerun=stale
    assert len(runs_in_progress(study)) == 1
    (record.folder / PROGRESS).write_text('{"epoch": ')
    assert runs_in_progress(study) == []


def test_other_hosts_and_paths_are_rejected(server) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(server, "../record.json")
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("GET", "/live", headers={"Host": "example.org"})
    assert connection.getresponse().status == 403
    connection.close()
    assert server.server_address[0] == "127.0.0.1"
    busy = rejection(lambda: LiveReport(server.study, server.build, server.server_port))
    assert "--serve PORT" in busy
    assert "70000" in rejection(lambda: LiveReport(server.study, server.build, 70000))
    assert "not a folder" in rejection(lambda: LiveReport(Path("absent"), server.build, 0))


def test_an_unusable_choice_is_said_on_the_page(study: Path) -> None:
    build: Callable[[], Path] = lambda: write_report(findings_of(study, alpha=2.0))[0]  # noqa: E731
    write_study(study, ACCURACIES)
    with LiveReport(study, build, 0) as server:
        assert "No report yet: " in Tags(server.report().decode()).text


@pytest.mark.slow
def test_ctrl_c_ends_the_server_without_a_traceback(study: Path) -> None:
    command = [sys.executable, "-u", "scripts/report.py", str(study), "--serve", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=-1, text=True) as process:
        assert "http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
        assert process.stderr.read() == ""


def test_a_run_keeps_its_progress_and_removes_it(tmp_path, session, monkeypatch) -> None:
    from poolbench.training import callbacks, sweep

    monkeypatch.setattr(callbacks, "PROGRESS_SECONDS", 0.0)
    seen = []

    def keep(path: Path, progress: RunProgress) -> None:
        write_json(path, progress)
        seen.extend(runs_in_progress(tmp_path))

    monkeypatch.setattr(callbacks, "write_json", keep)
    (spec,) = plan(tmp_path, "encoder=embedding", "trainer.max_epochs=3", session=session)
    record = sweep.run_one(spec, session)
    assert runs_in_progress(tmp_path) == []
    assert not list(tmp_path.rglob(PROGRESS))
    last, _ = seen[-1]
    assert (last.label, last.epoch, last.epochs) == (spec.label, 3, 3)
    assert last.seconds_left == pytest.approx(0.0)
    assert last.history == record.history[:2]


@pytest.mark.browser
@pytest.mark.slow
def test_a_verdict_appears_by_itself_in_the_browser(chromium, server, study: Path) -> None:
    start_run(study)
    chromium.get(server.address)

    def wait(script: str, words: str) -> None:
        wait_until(chromium, lambda _: words in (chromium.execute_script(f"return {script}") or ""))

    live = "document.getElementById('live').textContent"
    report = "document.querySelector('iframe').contentDocument?.body?.textContent"
    wait(live, "4 of 10")
    wait(report, "No run has finished")
    assert chromium.execute_script("return document.querySelector('polyline').points.length") == 3
    write_study(study, ACCURACIES)
    (study / spec_of(study, "conv", 4).path / PROGRESS).unlink()
    wait(report, "use attention")
    wait(live, "No run is training")
    drawn = (
        "document.querySelector('iframe').contentDocument.querySelectorAll('.trace path').length"
    )
    wait_until(chromium, lambda _: chromium.execute_script(f"return {drawn}") > 7)
    # It stays where the reader is.
    scroll = "document.querySelector('iframe').contentWindow"
    chromium.execute_script(f"{scroll}.scrollTo(0, 700)")
    write_run(study, "conv", 5)
    wait(report, "Undeclared runs: 1")
    wait_until(chromium, lambda _: chromium.execute_script(f"return {scroll}.scrollY") == 700)
    assert [e for e in chromium.get_log("browser") if "favicon" not in e["message"]] == []
