"""A second try for tests that drive a browser, processes or SLURM, and for no others, where it is asked for.

    pytest --second-try FILE     runs such a test once more where it fails; FILE gets the names of those that then pass

They wait for machines that may be busy for longer than anyone can foresee. A test that needed its second try is one to
mend all the same, so that its name is said (.ci/run does, at its end).
"""

from pathlib import Path

import pytest

MAY = ("browser", "processes", "slurm")
START = {"lab", "bench"}  # fixtures: a queue, an engine, and what they start


def pytest_addoption(parser: pytest.Parser) -> None:
    about = f"run a test marked {', '.join(MAY)} once more where it fails; FILE gets the names of those that then pass"
    parser.addoption("--second-try", metavar="FILE", help=about)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if START.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.processes)
        if config.getoption("--second-try") and any(map(item.get_closest_marker, MAY)):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    path, stats = terminalreporter.config.getoption("--second-try"), terminalreporter.stats
    if hasattr(terminalreporter.config, "workerinput"):  # of pytest-xdist: the one who started it tells of all
        return
    lost = {report.nodeid for kind in ("failed", "error") for report in stats.get(kind, ())}
    again = sorted({report.nodeid for report in stats.get("rerun", ())} - lost)
    if path and again:
        with Path(path).open("a") as file:
            file.writelines(f"{name}\n" for name in again)
