"""The X-ray's modules, a small run, what a page holds, and a browser to show it in."""

from __future__ import annotations

import array
import base64
import contextlib
import importlib.util
import json
import re
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from microgpt import TrainConfig, start
from microgpt.training import Run, train
from tests.helpers import NAMES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "xray"


def _load(name: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


tracer = _load("tracer")
xray = _load("xray")


def trained_run(
    steps: int = 30, seed: int = 5, names: Sequence[str] = NAMES, **sizes: int
) -> Run:
    """Return a small model of two layers after some training."""
    shape = {"block_size": 6, "n_layer": 2, "n_head": 2, "n_embd": 8, **sizes}
    training = TrainConfig(steps=steps, seed=seed)
    run, documents, _ = start(names, training, **shape)
    for _ in train(run, documents):
        pass
    return run


def unpacked(page_or_html: Any) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return (meta, columns) of a page, read as the browser reads them."""
    text = page_or_html if isinstance(page_or_html, str) else page_or_html.html
    found = re.search(r'id="content"[^>]*>([A-Za-z0-9+/=\s]*)<', text)
    assert found
    packed = zlib.decompress(base64.b64decode(found.group(1)))
    length = int(packed[:8])
    meta = json.loads(packed[8 : 8 + length])
    at = 8 + length + (-length % 8)
    columns = {}
    for name, kind, n in meta["columns"]:
        size = array.array(kind).itemsize * n
        numbers = array.array(kind, packed[at : at + size])
        if sys.byteorder == "big":
            numbers.byteswap()
        columns[name] = list(numbers)
        at += size
    assert at == len(packed)
    return meta, columns


# A browser, for those who have asked whether there is one.

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage "
    "--no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync"
)


@contextlib.contextmanager
def open_browser() -> Iterator[Any]:
    """Start a chromium that keeps a log of errors and of requests; stop it at last."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    logs = {"browser": "ALL", "performance": "ALL"}
    options.set_capability("goog:loggingPrefs", logs)
    profile = tempfile.mkdtemp()
    try:
        for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
            options.add_argument(flag)
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        driver.set_script_timeout(120)
        try:
            yield driver
        finally:
            driver.quit()
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def show(browser: Any, folder: Path, page: Any, width: int = 1600) -> None:
    """Write the page into folder, open it, and wait until it is drawn."""
    path = Path(folder) / "page.html"
    page.save(str(path))
    look(browser, width, dark=False)
    browser.get(path.as_uri())
    wait_until_drawn(browser)


def wait_until_drawn(browser: Any) -> None:
    """Wait until the page that is being opened has been unpacked and drawn."""
    deadline = time.monotonic() + 30
    while not browser.execute_script("return document.body.dataset.ready"):
        assert time.monotonic() < deadline, browser.get_log("browser")
        time.sleep(0.05)


def look(browser: Any, width: int, dark: bool, height: int = 1000) -> None:
    """Give the window a size, and the system a light or a dark theme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    value = "dark" if dark else "light"
    features = [{"name": "prefers-color-scheme", "value": value}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def screenshot(browser: Any, path: Path, width: int, height: int = 0) -> None:
    """Write a picture of the page, from its top: of all of it if height is 0."""
    script = "return document.documentElement.scrollHeight"
    height = height or browser.execute_script(script)
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    settings = {"captureBeyondViewport": True, "clip": clip}
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", settings)
    path.write_bytes(base64.b64decode(picture["data"]))
