"""What tests do with headless Chromium: open pages, change media, read requests and colours."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

DESKTOP, PHONE = (1280, 900), (390, 800)


def show(chromium: Any, page: Path, size: tuple[int, int] = DESKTOP, **media: Any) -> None:
    """Open a page with a screen size, a colour scheme and a medium."""
    width, height = size
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    emulate(chromium, **media)
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    chromium.get(page.as_uri())
    # On a busy machine ``get`` may return before the page is complete.
    ready = f"return location.href === '{page.as_uri()}' && document.readyState === 'complete'"
    wait_until(chromium, lambda _: chromium.execute_script(ready))


def wait_until(chromium: Any, condition: Callable[[Any], object]) -> None:
    """Wait a minute for it at most: the machine may be busy."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(chromium, 60).until(condition)


def emulate(chromium: Any, scheme: str = "light", media: str = "") -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature], "media": media})


def requests(chromium: Any) -> set[str]:
    """The schemes of all requests."""
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return {params["request"]["url"].partition(":")[0] for params in sent}


def colours(chromium: Any) -> list[str]:
    """Background of the page and colour of a text in a figure."""
    return chromium.execute_script(
        "return [getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('.plot .xtitle')).fill]"
    )
