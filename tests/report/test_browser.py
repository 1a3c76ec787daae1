"""The pages in a real browser: headless Chromium."""

from pathlib import Path

import pytest

from poolbench.report.build import findings_of, write_files, write_report
from poolbench.report.leaderboard import leaderboard_files, read_leaderboard
from tests.report.browser import DESKTOP, PHONE, colours, emulate, requests, show, wait_until
from tests.report.studies import CLEAR, ENDING, HOSTILE, hostile_study, write_study

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("outputs") / "clear"
    return write_report(findings_of(write_study(study, CLEAR | {"pitfall-sum": 0.7})))[0]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks, twelve poolers, and names of 80 characters."""
    study = tmp_path_factory.mktemp("many") / "several"
    poolers = CLEAR | {f"{'long_name_' * 7}{i:010d}": 0.6 + i / 40 for i in range(9)}
    for encoder in ("tiny", "encoder_" * 10):
        write_study(study, poolers, range(2), spec={"encoder": encoder})
    return write_report(findings_of(study))[0]


@pytest.fixture(scope="module")
def board(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = leaderboard_files(read_leaderboard(report.parents[1]))
    return write_files(tmp_path_factory.mktemp("board"), files)[0]


@SIZES
def test_the_page_is_complete_fits_the_screen_and_requests_nothing(chromium, report, size) -> None:
    show(chromium, report, size)
    assert chromium.get_log("browser") == []
    assert requests(chromium) <= {"file", "data", "blob"}
    figures, empty = chromium.execute_script(
        "const plots = [...document.querySelectorAll('.plot')];"
        "const marks = '.trace path, .heatmaplayer image';"
        "const drawn = (p) => p.querySelector(marks) && p.clientHeight > 50;"
        "return [plots.length, plots.filter((p) => !drawn(p)).map((p) => p.id)]"
    )
    assert figures >= 7
    assert empty == []
    edges = chromium.execute_script(
        "return [document.documentElement.scrollWidth,"
        " ...[...document.querySelectorAll('.plot svg')]"
        ".map((svg) => svg.getBoundingClientRect().right)]"
    )
    assert max(edges) <= size[0]


def test_a_table_sorts_by_mouse_and_by_keyboard(chromium, report: Path) -> None:
    show(chromium, report)
    table = chromium.find_element("css selector", "#verdicts table")  # the first one
    heads = table.find_elements("css selector", "thead button")
    column = [head.text.split("\n")[0].strip(" ↕") for head in heads].index("accuracy (%)")

    def shown() -> list[float]:
        cells = table.find_elements("css selector", f"tbody tr > :nth-child({column + 1})")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    best_first = shown()
    assert len(best_first) == 6  # four poolers and two baselines
    heads[column].click()
    assert shown() == sorted(best_first)
    heads[column].send_keys("\n")
    assert shown() == sorted(best_first, reverse=True)
    parent = heads[column].find_element("xpath", "..")
    assert parent.get_attribute("aria-sort") == "descending"


def test_page_and_figures_follow_the_colour_scheme(chromium, report: Path) -> None:
    show(chromium, report)
    light = colours(chromium)
    emulate(chromium, scheme="dark")
    dark = colours(chromium)
    assert light[0] == "rgb(255, 255, 255)"
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_on_paper_all_details_are_open_and_colours_are_light(chromium, report: Path) -> None:
    show(chromium, report, scheme="dark")
    folded = "return document.querySelectorAll('details:not([open])').length"
    before = chromium.execute_script(folded)
    chromium.execute_script("dispatchEvent(new Event('beforeprint'))")
    emulate(chromium, scheme="dark", media="print")
    assert chromium.execute_script(folded) == 0
    assert colours(chromium) == ["rgb(255, 255, 255)", "rgb(31, 35, 40)"]
    chromium.execute_script("dispatchEvent(new Event('afterprint'))")
    emulate(chromium, scheme="dark")
    assert chromium.execute_script(folded) == before > 0
    assert colours(chromium)[1] != "rgb(31, 35, 40)"


def test_on_paper_every_task_is_open_with_its_figures(chromium, several: Path) -> None:
    show(chromium, several)
    chromium.execute_script("dispatchEvent(new Event('beforeprint'))")
    emulate(chromium, media="print")
    closed, empty = chromium.execute_script(
        "const empty = (part) => !part.querySelector('.trace path, .heatmaplayer image');"
        "return [document.querySelectorAll('.task:not([open])').length,"
        " [...document.querySelectorAll('.plot')].filter(empty).length]"
    )
    assert (closed, empty) == (0, 0)
    chromium.execute_script("dispatchEvent(new Event('afterprint'))")
    assert chromium.execute_script("return document.querySelectorAll('.task[open]').length") == 0


def test_hostile_names_are_shown_and_never_run(chromium, tmp_path: Path) -> None:
    show(chromium, write_report(findings_of(hostile_study(tmp_path / "hostile")))[0])
    assert chromium.get_log("browser") == []
    assert chromium.execute_script("return window.pwned === undefined")
    text = chromium.execute_script("return document.body.textContent")
    assert HOSTILE in text
    assert ENDING in text
    assert requests(chromium) <= {"file", "data"}


def test_a_foreign_script_does_not_run(chromium, report: Path, tmp_path: Path) -> None:
    """The second line of defence: the policy of the page, if the escaping ever fails."""
    broken = tmp_path / "broken.html"
    broken.write_text(report.read_text().replace("<main>", "<main><script>pwned=1</script>"))
    show(chromium, broken)
    assert chromium.execute_script("return window.pwned === undefined")
    assert "Content Security Policy" in chromium.get_log("browser")[0]["message"]


@SIZES
def test_a_leaderboard_fits_the_screen_and_sorts(chromium, board: Path, size) -> None:
    show(chromium, board, size)
    chromium.execute_script("document.querySelectorAll('details').forEach((d) => d.open = true)")
    assert chromium.get_log("browser") == []
    assert requests(chromium) == {"file"}
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= size[0]
    chromium.find_elements("css selector", "thead button")[3].click()
    shown = chromium.find_elements("css selector", "tbody tr > :nth-child(4)")
    means = [float(cell.get_attribute("data-value")) for cell in shown]
    assert len(means) == 4
    assert means == sorted(means)


def test_a_cell_of_the_overview_opens_its_task_and_draws_it(chromium, several: Path) -> None:
    show(chromium, several)
    opened = "return [...document.querySelectorAll('.task')].map((task) => task.open)"
    drawn = "return document.querySelectorAll('#task1 .trace path').length"
    assert (chromium.execute_script(opened), chromium.execute_script(drawn)) == ([False] * 2, 0)
    chromium.find_element("css selector", "#overview a[href='#task1']").click()
    wait_until(chromium, lambda _: chromium.execute_script(drawn))
    assert chromium.execute_script(opened) == [False, True]


def test_a_filter_keeps_the_rows_with_all_its_words(chromium, several: Path) -> None:
    show(chromium, several)
    field = chromium.find_element("css selector", "#overview .filter")

    def kept(words: str) -> int:
        field.clear()
        field.send_keys(words)
        rows = chromium.find_elements("css selector", "#overview tbody tr")
        return sum(row.is_displayed() for row in rows)

    found = {words: kept(words) for words in ("long", "CONV", "0003 long", "0003 conv")}
    assert found == {"long": 9, "CONV": 1, "0003 long": 1, "0003 conv": 0}


def test_long_names_and_many_tasks_fit_a_phone(chromium, several: Path) -> None:
    show(chromium, several, PHONE)
    chromium.execute_script("document.querySelectorAll('details').forEach((d) => d.open = true)")
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    head = "#overview tbody th:first-child"
    width = f"return document.querySelector('{head}').getBoundingClientRect().width"
    assert chromium.execute_script(width) < PHONE[0] / 2  # it covers the other columns


@pytest.mark.parametrize("page", ["report", "several", "board"])
def test_axe_finds_no_violation(chromium, request, page: str) -> None:
    axe = pytest.importorskip("axe_core_python").__file__
    show(chromium, request.getfixturevalue(page))
    opened = "document.querySelectorAll('details:not(#task1)').forEach((d) => d.open = true)"
    chromium.execute_script(opened)
    chromium.execute_script((Path(axe).parent / "axe.min.js").read_text())
    run = (
        "const [options, done] = arguments; axe.run(options).then((result) => done("
        "result.violations.map((v) => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)])))"
    )
    assert chromium.execute_async_script(run, {}) == []
    emulate(chromium, scheme="dark")
    assert chromium.execute_async_script(run, {"runOnly": ["color-contrast"]}) == []
