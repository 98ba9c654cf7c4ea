"""SLURM on the pages: the choice and the script in the form, and where each seed's job stands while it lives."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from colora.engines.engine import engine_of
from colora.engines.slurm import records
from colora.engines.slurm.ending import waits_for
from colora.engines.slurm.jobs import WAITING
from colora.engines.slurm.script import render
from colora.engines.slurm.site import Site, asked_from, available, load_site, site_file
from colora.runs.folder import ACTIVE, Group, Run
from colora.system.errors import UserError
from pages.components import show
from pages.components.runs import runs_dir

HERE, SLURM, ENGINE = "This machine", "SLURM", "launch-engine"
LABELS = {
    "partition": "Partition",
    "account": "Account",
    "time": "Time limit of a seed",
    "gres": "GPU of a seed (gres)",
    "cpus": "CPU cores of a seed",
    "memory": "Memory of a seed",
    "parallel": "Seeds at a time",
}
TOLD_SECONDS = 60  # how old a refusal of SLURM's may be that is still told
EMPTY = {"partition": "the cluster's", "account": "yours", "gres": "none: on the CPU", "parallel": "no limit"}


def chosen() -> bool:
    """Whether this tab has chosen the cluster."""
    return st.session_state.get(ENGINE) == SLURM


def choose() -> tuple[list[str], str | None]:
    """Draw where to train, where there is a choice: what it adds to the command, and what is wrong with it."""
    if not available():
        return [], None
    where = st.segmented_control(
        "Where to train",
        [HERE, SLURM],
        default=HERE,
        required=True,
        key=ENGINE,
        help="SLURM starts the seeds as one job array on the cluster's nodes.",
        persist_state="session",
    )
    if where != SLURM:
        return [], None
    try:
        site = load_site()
    except UserError as error:
        show.say(error)
        return [], str(error)
    path = site_file()
    told = f"Empty fields are as {path} says." if path else "There is no site file: empty fields are the defaults."
    texts = _fields(site)
    st.caption(f"{show.literal(told)} See docs/cluster.md.")
    try:
        load_site(asked_from(texts))
    except UserError as error:
        show.say(error)
        return [], str(error)
    return ["--engine", "slurm", *[part for text in texts for part in ("--slurm", text)]], None


def _fields(site: Site) -> list[str]:
    """The fields that one launch may fill in: ["time=2:00:00", "extra=--exclusive", ...]."""
    grid, texts = st.grid(2, min_column_width=160), []
    for name, label in LABELS.items():
        with grid.cell():
            value = getattr(site, name)
            typed = st.text_input(
                label,
                key=f"launch-slurm-{name}",
                placeholder=EMPTY[name] if value is None else str(value),
                help=Site.model_fields[name].description,
                persist_state="session",
            ).strip()
        if typed:
            texts.append(f"{name}={typed}")
    lines = st.text_area(
        "Further options of sbatch",
        key="launch-slurm-extra",
        placeholder="\n".join(site.extra) or "none; one a line, such as --constraint=a100",
        help="One a line, each with its value. They take the place of the site file's.",
        height=68,
        persist_state="session",
    ).splitlines()
    return texts + [f"extra={line.strip()}" for line in lines if line.strip()]


def show_script(name: str, seeds: list[int], arguments: list[str]) -> None:
    """What `choose`'s arguments will submit, folded; nothing for this machine."""
    if "slurm" not in arguments:
        return
    asked = asked_from([text for flag, text in pairwise(arguments) if flag == "--slurm"])
    with st.expander("The script that will be submitted", icon=":material/terminal:"):
        try:
            st.code(render(load_site(asked), runs_dir() / name, seeds, 1), language="bash", wrap_lines=True)
        except UserError as error:
            show.say(error)
        st.caption("It stays in the group's folder. SLURM checks it before anything is made.")


@dataclass
class _Look:
    """The question about one group that is under way or was answered last, and what stood against the one before."""

    asked: Future
    begun: float  # by time.monotonic()
    trouble: BaseException | None = None


@st.cache_resource
def _looker() -> tuple[ThreadPoolExecutor, dict[Path, _Look]]:
    """Few workers for all sessions: a controller that does not answer must not hold up a page. Beside them what is
    known of each group that has been looked at lately."""
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="colora-slurm"), {}


def _trouble(group: Group) -> BaseException | None:
    """Ask about the group beside the page; returns what stood against the last answer, where that is of now."""
    worker, looks = _looker()
    last, now = looks.get(group.path), time.monotonic()
    if last is None or last.asked.done():
        for path, look in list(looks.items()):
            if look.asked.done() and now - look.begun > TOLD_SECONDS:
                looks.pop(path, None)
        trouble = last.asked.exception() if last and now - last.begun <= TOLD_SECONDS else None
        last = looks[group.path] = _Look(worker.submit(engine_of(group).look, Group(group.path)), now, trouble)
    return last.trouble


def show_jobs(group: Group) -> None:
    """Job number, node and reason for waiting of each unfinished seed; nothing for a group of this machine.

    SLURM is asked beside the page, at most every ten seconds; what is shown is what it said last.
    """
    if group.engine != "slurm":
        return
    error = _trouble(group)
    if isinstance(error, UserError):
        st.warning(f"What follows may be old: {show.literal(error)}", icon=":material/cloud_off:")
    elif error is not None:
        raise error
    if engine_of(group).forgotten(group):
        st.warning(
            "Some seeds wait and are not submitted to SLURM: press *Resume*.", icon=":material/hourglass_disabled:"
        )
    rows = [_row(run, task) for run in group.runs if run.state != "done" and (task := records.task_of(run.path))]
    if rows:
        order = ["Seed", "Job", "SLURM says", "Node", "Waits", "Began", "Begins about"]
        table = pd.DataFrame(rows)
        table = table[[column for column in order if column in table and table[column].notna().any()]]
        st.caption("On the cluster")
        st.dataframe(
            table, hide_index=True, key="slurm-jobs", placeholder="–", alt=f"The jobs of {group.name} in SLURM"
        )


def _row(run: Run, task: str) -> dict[str, Any]:
    """One seed. That it runs the run itself says, sooner than SLURM is asked again."""
    job, process = records.read_job(run.path), run.status["process"] or {}
    said, start = job.get("state", ""), (job.get("start") or "").replace("T", " ")[:16] or None
    row = {"Seed": run.seed, "Job": task}
    if run.state in ACTIVE and said in ("", *WAITING):
        return row | {"SLURM says": "running", "Node": process.get("host")}
    row["SLURM says"] = said.lower().replace("_", " ") or "not asked yet"
    if said in WAITING:
        return row | {"Waits": waits_for(job["reason"]), "Begins about": start}
    return row | {"Node": job.get("node") or None, "Began": start}
