"""The page in a real browser: headless Chromium opens the report of a real study."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolbench.report.build import findings_of, write_report
from poolbench.report.leaderboard import read_leaderboard
from poolbench.report.leaderboard_page import leaderboard_page
from tests.report.trained import train_study
from tests.report.written import ENDING, HOSTILE, hostile_study

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

DESKTOP, PHONE = (1280, 900), (390, 800)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study that the project's own sweep trained."""
    outputs = tmp_path_factory.mktemp("outputs")
    study = train_study(outputs, "small", "pooler=cls,mean", "seed=0,1,2,3,4")
    return write_report(findings_of(study))[0]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as opened:
        yield opened


def show(
    chromium: Any, report: Path, size: tuple[int, int] = DESKTOP, scheme: str = "light"
) -> Any:
    """Open a page as a screen of this size and colour scheme shows it; what came before is over."""
    width, height = size
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get(report.as_uri())
    # On a busy machine ``get`` comes back while a page is still being read, or before it is.
    there = f"return location.href === '{report.as_uri()}' && document.readyState === 'complete'"
    WebDriverWait(chromium, 60).until(lambda _: chromium.execute_script(there))
    return chromium


def requests(chromium: Any) -> set[str]:
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return {params["request"]["url"].partition(":")[0] for params in sent}


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_is_whole_and_keeps_to_itself(chromium, report: Path, size) -> None:
    show(chromium, report, size)
    assert chromium.get_log("browser") == []
    assert requests(chromium) <= {"file", "data", "blob"}
    figures, empty = chromium.execute_script(
        "const plots = [...document.querySelectorAll('.plot')];"
        "const drawn = (p) => p.querySelector('.trace path') && p.clientHeight > 50;"
        "return [plots.length, plots.filter((p) => !drawn(p)).map((p) => p.id)]"
    )
    assert figures >= 8
    assert empty == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_is_wider_than_the_screen(chromium, report: Path, size) -> None:
    show(chromium, report, size)
    wide = chromium.execute_script(
        "return [document.documentElement.scrollWidth,"
        " ...[...document.querySelectorAll('.plot svg')]"
        ".map((svg) => svg.getBoundingClientRect().right)]"
    )
    assert max(wide) <= size[0]


def test_a_table_sorts_by_mouse_and_by_keyboard(chromium, report: Path) -> None:
    show(chromium, report)
    table = "#verdicts table"
    position = (
        f"[...document.querySelectorAll('{table} thead th')]"
        ".findIndex((head) => head.textContent === 'accuracy (%)')"
    )
    column = chromium.execute_script(f"return {position}")
    head = chromium.find_elements("css selector", f"{table} thead button")[column]

    def shown() -> list[float]:
        cells = chromium.find_elements(
            "css selector", f"{table} tbody tr > :nth-child({column + 1})"
        )
        return [float(cell.text) for cell in cells]

    best_first = shown()
    assert len(best_first) == 2
    head.click()
    assert shown() == sorted(best_first)
    head.send_keys("\n")
    assert shown() == sorted(best_first, reverse=True)
    assert head.find_element("xpath", "..").get_attribute("aria-sort") == "descending"


def test_page_and_figures_follow_the_colour_scheme(chromium, report: Path) -> None:
    def colours(scheme: str) -> list[str]:
        show(chromium, report, scheme=scheme)
        return chromium.execute_script(
            "return [getComputedStyle(document.body).backgroundColor,"
            " document.querySelector('.plot .xtitle').style.fill]"
        )

    light, dark = colours("light"), colours("dark")
    assert light[0] == "rgb(255, 255, 255)"
    assert light[0] != dark[0]
    assert light[1] != dark[1]


def test_on_paper_everything_is_unfolded_and_light(chromium, report: Path) -> None:
    show(chromium, report, scheme="dark")
    chromium.execute_script("dispatchEvent(new Event('beforeprint'))")
    state = (
        "return [document.querySelectorAll('details:not([open])').length,"
        " document.querySelector('.plot .xtitle').style.fill]"
    )
    folded, ink = chromium.execute_script(state)
    assert folded == 0
    assert ink == "rgb(31, 35, 40)"
    chromium.execute_script("dispatchEvent(new Event('afterprint'))")
    folded, ink = chromium.execute_script(state)
    assert folded > 0
    assert ink != "rgb(31, 35, 40)"


def test_hostile_names_are_shown_and_never_run(chromium, tmp_path: Path) -> None:
    page = write_report(findings_of(hostile_study(tmp_path / "hostile")))[0]
    show(chromium, page)
    assert chromium.get_log("browser") == []
    assert chromium.execute_script("return window.pwned === undefined")
    text = chromium.execute_script("return document.body.innerText + document.body.textContent")
    assert HOSTILE in text
    assert ENDING in text
    assert requests(chromium) == {"file"}


def test_a_script_that_is_not_ours_would_not_run(chromium, report: Path, tmp_path: Path) -> None:
    """The second line of defence: the page's policy, were the escaping ever to fail."""
    broken = tmp_path / "broken.html"
    broken.write_text(report.read_text().replace("<main>", "<main><script>pwned=1</script>"))
    show(chromium, broken)
    assert chromium.execute_script("return window.pwned === undefined")
    assert "Content Security Policy" in chromium.get_log("browser")[0]["message"]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_leaderboard_fits_the_screen_and_sorts(
    chromium, report: Path, tmp_path: Path, size
) -> None:
    path = tmp_path / "leaderboard.html"
    path.write_text(leaderboard_page(read_leaderboard(report.parents[1])))
    show(chromium, path, size)
    chromium.execute_script("document.querySelectorAll('details').forEach((d) => d.open = true)")
    assert chromium.get_log("browser") == []
    assert requests(chromium) == {"file"}
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= size[0]
    chromium.find_elements("css selector", "thead button")[1].click()
    shown = chromium.find_elements("css selector", "tbody tr > :nth-child(2)")
    means = [float(cell.text) for cell in shown]
    assert len(means) == 2
    assert means == sorted(means)
