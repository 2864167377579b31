# SPDX-License-Identifier: GPL-2.0
"""ktap against logs that others collected, where this machine has them.

The kernel's own are read from its source: MEMSAFE_KERNEL_SOURCE, or what the
runner has in its cache. The corpus is lkp-tests', a folder MEMSAFE_CORPUS.
"""

import os
import re
from collections import Counter
from pathlib import Path

import pytest

import ktap

# What kunit_tool_test.py asserts, in ktap's words: a crash is an error (and the
# rest of the plan a miss), a test that has none is no case and a problem. Its
# parser is silent about a plan that is missing, and believes a last line that
# has no newline. The last column: whether ktap must name a problem.
KUNIT_LOGS = {
    "test_config_printk_time": ({"pass": 10}, False),
    "test_insufficient_memory": ({}, True),
    "test_interrupted_tap_output": ({"pass": 10}, False),
    "test_is_test_passed-all_passed": ({"pass": 10}, False),
    "test_is_test_passed-all_passed_nested": ({"pass": 7}, False),
    "test_is_test_passed-failure": ({"pass": 9, "fail": 1}, False),
    "test_is_test_passed-kselftest": ({"pass": 4}, False),
    "test_is_test_passed-missing_plan": ({"pass": 10}, True),
    "test_is_test_passed-no_tests_no_plan": ({}, True),
    "test_is_test_passed-no_tests_run_no_header": ({}, True),
    "test_is_test_passed-no_tests_run_with_header": ({}, True),
    "test_kernel_panic_interrupt": ({"pass": 8, "error": 1, "miss": 1}, True),
    "test_multiple_prefixes": ({"pass": 10}, False),
    "test_output_isolated_correctly": ({"pass": 2}, True),
    "test_output_with_prefix_isolated_correctly": ({"pass": 10}, True),
    "test_parse_attributes": ({"pass": 1}, True),
    "test_parse_ktap_output": ({"pass": 3}, False),
    "test_parse_subtest_header": ({"pass": 1}, True),
    "test_pound_no_prefix": ({"pass": 10}, False),
    "test_pound_sign": ({"pass": 10}, False),
    "test_skip_all_tests": ({"skip": 5}, False),
    "test_skip_tests": ({"pass": 4, "skip": 1}, False),
    "test_strip_hyphen": ({"pass": 2}, False),
}


def kunit_folder():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    sources = sorted((cache / "memsafe/sources").glob("linux-source-6.12*"))
    source = os.environ.get("MEMSAFE_KERNEL_SOURCE") or (sources[-1] if sources else None)
    folder = source and Path(source) / "tools/testing/kunit/test_data"
    if not folder or not folder.is_dir():
        pytest.skip("needs a kernel source: set MEMSAFE_KERNEL_SOURCE")
    return folder


@pytest.mark.parametrize("name", KUNIT_LOGS)
def test_log_of_kunit_tool(name):
    counts, has_problem = KUNIT_LOGS[name]

    result = ktap.parse((kunit_folder() / f"{name}.log").read_text())

    assert Counter(case.status for case in result.cases) == counts
    assert bool(result.problems) == has_problem, result.problems


def test_no_log_of_kunit_tool_is_left_out():
    assert {path.stem for path in kunit_folder().glob("*.log")} == set(KUNIT_LOGS)


def test_names_in_logs_of_kunit_tool():
    log = (kunit_folder() / "test_kernel_panic_interrupt.log").read_text()

    names = [case.name for case in ktap.parse(log).cases]

    assert names[0] == "kunit-resource-test.kunit_resource_test_init_resources"
    assert names[-2:] == ["string-stream-test.#2", "string-stream-test.#3"]


# lkp's names: no spaces and no punctuation that would need quotes, no verdict
# in prose; a result line without a name is called by its directive's reason.

def lkp_name(text):
    text = re.sub(r"\bPassed\b ?", "", text).strip().removesuffix("...")
    return re.sub(r"[\s:,()]+", "_", text).strip("_")


def lkp_results(log):
    """`suite.test.result` of everything that has a result line of its own."""
    result = ktap.parse(log)
    for case in (*result.cases, *result.parents):
        path, _, name = case.name.rpartition(".")
        if case.reason.startswith("no result") or case.status == "miss":
            continue
        if name.startswith("#"):
            name = f"{path}.{case.reason}"
        else:
            name = case.name
        yield f"{lkp_name(name)}.{'fail' if case.status == 'error' else case.status}"


def expected(path):
    """The results lkp wants, without its own keys: builds and measured values."""
    keys = [line.rpartition(": ")[0] for line in path.read_text().splitlines()]
    results = {key for key in keys if key.endswith((".pass", ".fail", ".skip"))}
    return {key for key in results if ".make." not in key}


def in_ktap(keys, log):
    """Those of keys that a result line states, and not prose like `foo [ OK ]`."""
    result = r"^(?:# |\[.*\] +)*(?:not )?ok [0-9]+(?: -)? (?:# SKIP )?([^#\n]*)"
    said = re.findall(result, log, re.MULTILINE)
    said += re.findall(r"^# #  RUN +(\S+) \.\.\.$", log, re.MULTILINE)
    names = [lkp_name(re.sub(r"^selftests: (.*?): ", r"\1.", text)) for text in said]
    return {key for key in keys if key.rpartition(".")[0].endswith(tuple(filter(None, names)))}


def lkp_files():
    corpus = os.environ.get("MEMSAFE_CORPUS")
    if not corpus:
        pytest.skip("needs MEMSAFE_CORPUS, the folder of the logs that others collected")
    files = sorted(Path(corpus).glob("lkp/k*/*.yaml"))
    assert files, f"no lkp logs in {corpus}"
    return files


def test_results_that_lkp_sees_in_the_same_logs():
    """lkp also reads prose like `foo [ OK ]`: that is no result here, and not compared."""
    wrong, same_as_all = {}, 0
    files = lkp_files()
    for path in files:
        log = path.with_suffix("").read_text(errors="replace")
        ours = set(lkp_results(log))
        want = in_ktap(expected(path), log)
        same_as_all += ours == expected(path)
        if ours != want:
            wrong[path.stem] = sorted(ours ^ want)

    print(f"of {len(files)} files {len(files) - len(wrong)} have the same results,"
          f" {same_as_all} with those in prose")
    assert len(wrong) <= 0.05 * len(files), wrong
