"""What the computer that runs the app has, and how busy it is."""

from pathlib import Path

import streamlit as st

from colora.system.devices import Gpu, Machine, machine
from colora.system.storage import size_text
from pages.components.show import literal

FRESH_SECONDS = 2


@st.cache_data(show_spinner=False, ttl=FRESH_SECONDS)
def machine_now(folder: Path) -> Machine:
    """`machine`, asked every two seconds at most."""
    return machine(folder)


def show_machine(folder: Path) -> None:
    """GPUs, processor, memory and the disk of `folder`, each with a bar."""
    found = machine_now(folder)
    grid = st.grid(4, min_column_width=200)
    for gpu in found.gpus:
        _gpu(grid, gpu)
    if found.gpu_note:
        with grid.cell():
            st.markdown("**GPU**")
            st.caption(literal(found.gpu_note))
    _share(grid, "Processor", found.cpu_busy, f"{found.cpu_busy:.0%} of {found.cores} cores")
    _amount(grid, "Memory", found.memory_used, found.memory, "used")
    _amount(grid, "Disk of the runs", found.disk_used, found.disk, "used")


def _gpu(grid, gpu: Gpu) -> None:
    """One cell: how busy it is in words, its memory as a bar, since memory is what a launch fails for."""
    with grid.cell():
        busy = "" if gpu.busy is None else f" · {gpu.busy:.0%} busy"
        st.markdown(f"**GPU {gpu.index}**{busy}")
        st.progress(gpu.memory_used / gpu.memory, text=f"{size_text(gpu.memory_used)} of {size_text(gpu.memory)} used")
        st.caption(literal(gpu.name))


def _share(grid, title: str, share: float, text: str) -> None:
    with grid.cell():
        st.markdown(f"**{title}**")
        st.progress(min(1.0, max(0.0, share)), text=text)


def _amount(grid, title: str, used: int, total: int, word: str) -> None:
    _share(grid, title, used / total if total else 0.0, f"{size_text(used)} of {size_text(total)} {word}")
