"""What the seeds see in their own images, of a group that was trained before that was kept: made beside the page."""

from typing import Any

import streamlit as st

from colora.runs.features import has_features
from colora.runs.finished import finished
from colora.runs.folder import Group
from colora.system.errors import UserError
from pages.components import acting, show
from pages.components.beside import Job, answered, jobs

KEPT_SECONDS = 60


def without_features(group: Group) -> tuple[Job, Any] | None:
    """That distance and neighbours are not known, and the button that mends it; the job under way, and its place."""
    lacking = [run.seed for run in finished(group) if not has_features(run)]
    if not lacking:
        return None
    key = ("features", str(group.path), group.identity)
    job = jobs().get(key)
    if job is not None and job.under_way:
        st.info("The models look at their own images.", icon=":material/hourglass_top:")
        st.button("Stop", icon=":material/cancel:", key="stop-features", on_click=job.stop)
        return job, st.empty()
    st.info(
        "This group was trained before it was kept what its models see in the training images: so far nothing is known "
        "of what a scan is near, or of how far off it lies. It takes a look at each image with each seed.",
        icon=":material/explore_off:",
    )
    if job is not None:
        try:
            answered(job)
        except UserError as error:
            show.say(error, st.info if job.stopped else st.error)
    if acting.button("Make it known", [group], "features", needs="features", icon=":material/explore:") is not None:
        jobs().forget(key)
        jobs().start(key, ["features", str(group.path), f"--identity={group.identity}"], KEPT_SECONDS, "Loading")
        st.rerun()
    return None
