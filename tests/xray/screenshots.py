"""Take the pictures of the page that a person should look at after a change.

    python -m tests.xray.screenshots FOLDER

writes xray-360-light.png and three more, for a phone and a wide screen, light and dark,
and readme.png, from which .github/pictures/xray.png is made. It needs chromium,
chromedriver and selenium, like test_browser.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.xray.xray_support import look, open_browser, screenshot, show, xray

# The second letter has been read; "a" is asked about, in the middle of attention.
SCENE = """
chooseToken(2);
goToLine(arguments[0], arguments[1]);
ask(page.meta.logits[2][1]);
page.opened.add("the embedding of “i”");
drawNumber();
scrollTo(0, 0);
"""


def main(folder: Path) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    run, states = xray.trained(500, "mia")
    page = xray._page(xray.run_content([run], ["The default model"], states, "mia"))
    attention = [function.__name__ for function in xray.TRACED].index("attention")
    code = xray.source(xray.TRACED[attention])
    place = [i for i, line in enumerate(code["lines"]) if "weights = " in line]
    with open_browser() as browser:
        show(browser, folder, page)
        browser.execute_script(SCENE, attention, code["first"] + place[0])
        for width in (360, 1600):
            for theme in ("light", "dark"):
                look(browser, width, dark=theme == "dark")
                screenshot(browser, folder / f"xray-{width}-{theme}.png", width)
        look(browser, 1600, dark=False, height=1720)
        browser.execute_script("document.querySelector('#readout').hidden = true")
        screenshot(browser, folder / "readme.png", 1600, height=1720)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
