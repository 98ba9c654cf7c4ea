"""SLURM's site file, the script that is submitted, and how commands reach SLURM, by ssh too."""

import subprocess
import tomllib

import pytest

from colora.cli.cluster import example
from colora.engines.engine import engine_named
from colora.engines.slurm import client
from colora.engines.slurm.script import render
from colora.engines.slurm.site import Site, asked_from, available, load_site, seconds_of
from colora.system.errors import UserError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("1:00:00", 3600), ("2-0", 172_800), ("1-12:30", 131_400), ("1-0:0:5", 86_405)],
)
def test_times_as_slurm_writes_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('partiton = "gpu"', "colora-slurm.toml: there is no setting 'partiton': did you mean 'partition'"),
        ('time = "tomorrow"', "colora-slurm.toml: time: 'tomorrow' is no time limit"),
        ('time = "0:30"', "time: must be a minute or more"),
        ('time = "1:30"\nsignal_seconds = 100', r"signal_seconds \(100\) must be less than the time limit"),
        ('gres = "gpu:1; rm -rf"', "gres: String should match pattern"),
        ('memory = "lots"', "memory: .* but is 'lots'"),
        ("cpus = 0", "cpus: .* but is 0"),
        ('extra = ["--array=1-9"]', "'--array' is set by CoLoRA itself"),
        ('extra = ["--mem=1G"]', "'--mem' is set by CoLoRA itself: set memory instead"),
        ('extra = ["constraint"]', "'constraint' is not a long option"),
        ('setup = ["a\\nb"]', "setup: String should match pattern"),
        ('python = "~/bin/python"', "python: must be an absolute path"),
        ("partition =", "colora-slurm.toml cannot be read"),
    ],
)
def test_a_site_file_is_checked_with_a_sentence(site_file, text, sentence):
    site_file(text)
    with pytest.raises(UserError, match=sentence):
        load_site()
    assert available()  # the form shows it and says so


def test_a_launch_changes_some_settings_for_itself(site_file):
    site_file('partition = "gpu"\ncpus = 8\ngres = "gpu:1"')
    asked = asked_from(["time=2:00:00", "gres=", "cpus=2", "extra=--nice=5", "extra=--exclusive"])
    site = load_site(asked)
    assert (site.partition, site.time, site.gres, site.cpus) == ("gpu", "2:00:00", None, 2)
    assert site.extra == ["--nice=5", "--exclusive"]
    with pytest.raises(UserError, match="cannot set 'python' for SLURM"):
        load_site({"python": "/bin/sh"})
    with pytest.raises(UserError, match="takes NAME=VALUE"):
        asked_from(["time"])
    with pytest.raises(UserError, match="--slurm goes with --engine slurm"):
        engine_named("local").check(None, "g", [0], asked)
    with pytest.raises(UserError, match="no engine 'pbs'"):
        engine_named("pbs")


def test_slurm_is_there_with_sbatch_or_with_an_ssh_prefix_that_leads_to_it(site_file, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not available()
    site_file('ssh = ["ssh", "login"]')
    assert available()


@pytest.mark.parametrize("gres", ["gpu:1", "gpu:a100:1", "shard:4"])
def test_a_gpu_or_a_share_of_one(tmp_path, gres):
    assert f"#SBATCH --gres={gres}\n" in render(load_site({"gres": gres}), tmp_path / "g", [0], 1)


def test_the_example_is_a_valid_site_file_that_names_every_setting():
    text = example()
    enabled = "\n".join(line.removeprefix("# ") for line in text.splitlines() if " = " in line)
    assert set(tomllib.loads(enabled)) == set(Site.model_fields)
    Site(**tomllib.loads(enabled))
    assert tomllib.loads(text) == {}


def test_the_script(tmp_path):
    site = Site(partition="gpu", gres="gpu:1", parallel=2, setup=["module load cuda"], python="/opt/my py/python")
    site = site.model_copy(update={"directory": "/shared/it's here", "extra": ["--constraint=a100"]})
    lines = render(site, tmp_path / "g", [0, 1, 2, 7], 3, priority=2).splitlines()
    assert lines[0] == "#!/bin/bash -l"
    assert [line for line in lines if line.startswith("#SBATCH")] == [
        f"#SBATCH {option}"
        for option in (
            '--job-name="g"', "--array=0-2,7%2", "--nodes=1", "--ntasks=1", "--cpus-per-task=4", "--mem=16G",
            "--time=24:00:00", "--partition=gpu", "--gres=gpu:1", "--nice=-2000", "--signal=B:USR1@120", "--requeue",
            "--open-mode=append", f'--output="{tmp_path}/g/slurm/0003_%a.log"', "--constraint=a100",
        )
    ]  # fmt: skip
    assert lines[-4:] == [
        "module load cuda",
        "cd '/shared/it'\"'\"'s here' || exit 1",
        "export OMP_NUM_THREADS=4",
        f"exec '/opt/my py/python' -m colora.engines.slurm.task {tmp_path}/g 3",
    ]
    assert subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=False).returncode == 0
    with pytest.raises(UserError, match="cannot hold a path"):
        render(site, tmp_path / "100%", [0], 1)


def test_ssh_gets_one_quoted_command_and_the_script_on_its_input(tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\necho "$#" > "$0.seen"\nshift\nexec sh -c "$*"\n')  # as sshd does
    ssh.chmod(0o755)
    site = Site(ssh=[str(ssh), "login"])
    odd = "a b'c\"; echo $HOME * \\"
    assert client.call(site, ["printf", "%s|", odd, "x"]) == f"{odd}|x|"
    assert client.call(site, ["cat"], "the script\n") == "the script\n"
    assert (tmp_path / "ssh.seen").read_text() == "2\n"
    with pytest.raises(UserError, match=r"SLURM \(through .*ssh login\) refused 'sh': no such account"):
        client.call(site, ["sh", "-c", "echo no such account >&2; exit 1"])
    client.check_folder(site, str(tmp_path))
    with pytest.raises(UserError, match="does not see /nowhere/at all"):
        client.check_folder(site, "/nowhere/at all")
    with pytest.raises(UserError, match="There is no command 'ssh-nowhere' here: is the ssh prefix"):
        client.call(Site(ssh=["ssh-nowhere"]), ["sbatch"])
    with pytest.raises(UserError, match="There is no command 'sbatch-nowhere' here: install SLURM's clients"):
        client.call(Site(), ["sbatch-nowhere"])


def test_a_connection_that_ssh_keeps_for_later_is_not_waited_for(tmp_path, monkeypatch):
    """As OpenSSH before 8.5 does it with ControlPersist: a process in the background holds the standard error."""
    ssh = tmp_path / "ssh"
    ssh.write_text(f"""#!/bin/sh
shift
(i=0; while [ ! -e {tmp_path}/end ] && [ $i -lt 900 ]; do sleep 0.1; i=$((i + 1)); done) </dev/null >/dev/null &
echo a remark >&2
exec sh -c "$*"
""")
    ssh.chmod(0o755)
    monkeypatch.setattr(client, "ANSWER_SECONDS", 60)
    try:
        assert client.answer(Site(ssh=[str(ssh), "login"]), ["echo", "12"]) == ("12\n", "a remark")
    finally:
        (tmp_path / "end").touch()
