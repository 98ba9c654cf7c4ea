"""A second try for tests that drive a browser, processes or SLURM, and for no others, where it is asked for.

    pytest --second-try FILE     runs such a test once more where it fails; FILE gets those that then pass, a line each:
                                 their names, and what they failed with

They wait for machines that may be busy for longer than anyone can foresee. A test that needed its second try is one to
mend all the same, so that it is told (.ci/run does, at its end).
"""

from pathlib import Path

import pytest

MAY = ("browser", "processes", "slurm")
MOST = 3000  # characters of what it failed with
START = {"lab", "bench"}  # fixtures: a queue, an engine, and what they start


def pytest_addoption(parser: pytest.Parser) -> None:
    about = f"run a test marked {', '.join(MAY)} once more where it fails; FILE is told of those that then pass"
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
    again = sorted(f"{report.nodeid}: {why(report)}" for report in stats.get("rerun", ()) if report.nodeid not in lost)
    if path and again:
        with Path(path).open("a") as file:
            file.writelines(f"{line}\n" for line in again)


def why(report: pytest.TestReport) -> str:
    """Where in the test it failed, and the error with its notes, in one line."""
    lines = report.longreprtext.splitlines()
    at = [line for line in lines if line.startswith(report.location[0])]
    said = " ".join(line[1:].strip() for line in lines if line.startswith("E "))
    return f"{at[0] if at else ''} {said}"[:MOST]
