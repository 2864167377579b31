# SPDX-License-Identifier: GPL-2.0
"""report.html: everything is on it, nothing of what a guest says acts, and nothing
is fetched from anywhere.  What a parser can tell is told here; a browser has the
last word, where one is installed."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

import page
import results
from history import Past
from judge import Case, Report
from record import Run
from test_report import ACTS, CASES, REPORTS, document, hostile, target

STARTED = "2026-01-15T12:00:00Z"
RUNS = [{"started": STARTED, "verdict": word, "seconds": seconds, "bad": 1}
        for word, seconds in (("pass", 50.0), ("fail", 100.0), ("none", 0.0))]  # fmt: skip
PAST = {"good.breaks": Past("good.breaks", 40, 3, STARTED, 1.0, 2.0)}
ATTACK = (
    '</td></pre></code></title></style></script><script>document.title="owned"</script>'
    '<img src=x onerror=\'document.title="owned"\'>" onmouseover="document.title=1" {{ 7*7 }} {% endfor %}'
    " <svg/onload=document.title=2> &lt;b&gt; \x1b[31m\x00\u202egnp\u2066 javascript:1"
)
BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")


def rendered(shown, filtered=False):
    return page.page(document(shown), STARTED, filtered, PAST, RUNS)


def attacked(text=ATTACK):
    case = Case(f"good.{text}", "fail", text, 1.0, diagnostics=(text, text))
    skip = Case(f"skip.{text}", "skip", text)
    told = [Report(f"WARNING in {text}", text, "WARNING", state, text, reason=text, frames=(text,))
            for state in ("NEW", "EXPECTED")]  # fmt: skip
    return {**target((case, skip), told, (text,)), "kernel_release": text, "cmdline": text, "reproduce": text}


class Seen(HTMLParser):
    """The elements and attributes of a page, and its text by element."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.texts, self.last = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [(tag, *each) for each in attrs]
        self.last = tag

    def handle_data(self, data):
        self.texts.append((self.last, data))

    def text(self):
        return "".join(data for tag, data in self.texts if tag not in ("title", "style", "script"))


def test_the_verdict_is_first_and_everything_is_there():
    body = Seen(rendered(target())).text()

    for case in CASES:
        assert case.name in body and case.reason in body
    for report in REPORTS:
        assert report.signature in body
    assert "f+0x1/0x2 mm/f.c:3" in body
    assert "failed in 3 of 40 runs" in body
    assert "lockdep was off from good on" in body
    assert body.index("fail") < body.index("good.breaks: expected 1") < body.index("KASAN")


def test_each_failure_has_the_command_of_its_suite_alone():
    assert "runner/memsafe.py run good\n" in rendered(target()).replace("</pre>", "\n")
    assert "runner/memsafe.py run good" not in rendered(target(), filtered=True)


def test_skips_are_by_reason_and_undeclared_ones_are_marked():
    cases = [Case(f"a.{number}", "skip", "needs x", known="needs x") for number in range(3)]
    text = Seen(rendered(target([*cases, Case("b.c", "skip", "needs y")]))).text()

    assert re.search(r"needs y undeclared\s*b\.c.*needs x\s*a\.0\s*a\.1\s*a\.2", text, re.S)


def test_the_plot_has_a_bar_for_every_run():
    seen = Seen(rendered(target()))

    assert [value for tag, name, value in seen.attributes if (tag, name) == ("rect", "height")] == ["40", "80", "2"]
    assert [value for tag, name, value in seen.attributes if (tag, name) == ("rect", "class")] == ["pass", "fail", "none"]


@pytest.mark.parametrize("shown", [
    target(), target((), (), (), None), hostile(), attacked(),
], ids=["all kinds", "nothing ran", "hostile", "attacked"])  # fmt: skip
def test_nothing_is_fetched_and_only_our_script_runs(shown):
    seen = Seen(rendered(shown))

    assert seen.elements.count("script") == 1
    assert not {"img", "link", "iframe", "object", "embed", "base"} & set(seen.elements)
    assert not [name for _, name, _ in seen.attributes if name.startswith("on") or name in ("src", "style")]
    assert {value for tag, name, value in seen.attributes if name == "href"} == set(page.FILES)


def test_the_policy_allows_nothing_but_our_own_script_and_style():
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', rendered(target()))

    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-[\w+/=]{44}'; style-src 'sha256-[\w+/=]{44}'; "
        r"base-uri 'none'; form-action 'none'", policy.replace("&#39;", "'"),
    )  # fmt: skip


def test_the_same_elements_whatever_a_guest_says():
    """An attack adds none."""
    assert Seen(rendered(attacked())).elements == Seen(rendered(attacked("harmless"))).elements
    assert "{{ 7*7 }}" in Seen(rendered(attacked())).text()


@pytest.mark.parametrize("shown", [hostile(), attacked()], ids=["hostile", "attacked"])
def test_no_control_characters_arrive(shown):
    assert not ACTS.findall(rendered(shown))


def test_a_line_of_a_megabyte_is_cut():
    text = rendered(attacked("x" * (1 << 20)))

    assert len(text) < 200_000
    assert "... 1046576 more characters" in text


def test_without_scripts_nothing_is_hidden():
    """All that only works with a script is hidden until ours runs."""
    seen = Seen(rendered(target()))

    assert [tag for tag, name, _ in seen.attributes if name == "hidden"] == ["form"]


@pytest.fixture
def browser(tmp_path):
    """The page's elements after a browser has loaded it and run its script."""
    if not BROWSER:
        pytest.skip("needs chromium-headless-shell")

    def load(text, words=""):
        path = tmp_path / "report.html"
        path.write_text(text)
        done = subprocess.run(
            [BROWSER, "--no-sandbox", "--headless", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
             "--virtual-time-budget=2000", "--dump-dom", f"{path.as_uri()}#{words}"],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0 and "</html>" in done.stdout, done.stderr[-2000:]
        return done.stdout

    return load


def shown_rows(text):
    return re.findall(r"<tr data-status=\"\w+\"><td[^>]*>\w+</td><td[^>]*>([^<]*)", text)


def test_in_a_browser_no_script_of_a_guest_runs(browser):
    text = browser(rendered(attacked()))

    title, *_ = re.findall(r"<title>(.*?)</title>", text, re.S)
    assert title.startswith("memsafe: fail: x86_64-kasan")
    assert '<output id="found">2 of 2</output>' in text, "our own script did not run"
    assert text.count("<script>") == 1 and "<img" not in text


@pytest.mark.parametrize("words, names", [
    ("", [case.name for case in CASES]),
    ("BREAKS", ["good.breaks"]),
    ("good.%20needs", ["good.skips"]),
    ("nowhere", []),
])  # fmt: skip
def test_in_a_browser_the_filter_shows_what_it_is_asked_for(browser, words, names):
    assert shown_rows(browser(rendered(target()), words)) == names


def test_in_a_browser_the_policy_stops_what_got_through(browser):
    """With the escaping gone."""
    hole = rendered(target()).replace("<h1>", '<h1><script>document.title = "owned"</script>', 1)

    assert "<title>owned" not in browser(hole)


def test_a_run_leaves_its_page_and_its_submission(tmp_path):
    folder = tmp_path / "20260101" / "x86_64-kasan"
    folder.mkdir(parents=True)
    Run("x86_64-kasan", ()).save(folder)

    assert results.export(document(target()), folder) == ""
    assert sorted(path.name for path in folder.iterdir()) == ["kcidb.json", "report.html", "run.json"]

    (folder / "kcidb.json.half").mkdir()
    assert results.export(document(target()), folder) == f"no {folder / 'kcidb.json'}: Is a directory"
