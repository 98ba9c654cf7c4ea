"""colora-access.toml: roles by address, what counts as signed in, and the sentences for what is wrong in it."""

import os

import pytest

from colora.settings.access import ACTIONS, ROLES, Access, access_file, load_access
from colora.system.errors import UserError

NOW = 1_800_000_000.0
RULES = Access(
    admins=["Prof@Clinic.example"],
    researchers=["*@lab.example", "eve@clinic.example"],
    readers=["*@clinic.example", "guest@lab.example"],
    trusted_issuers=["https://login.example/tenant"],
)


@pytest.fixture
def access_toml(tmp_path, monkeypatch):
    """A function that writes colora-access.toml."""
    path = tmp_path / "colora-access.toml"
    monkeypatch.setenv("COLORA_ACCESS", str(path))

    def write(text: str | bytes) -> None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


@pytest.mark.parametrize(
    ("address", "role"),
    [
        ("prof@clinic.example", "admin"),
        ("PROF@CLINIC.EXAMPLE", "admin"),
        ("eve@clinic.example", "researcher"),  # the higher of her two
        ("guest@lab.example", "researcher"),
        ("anyone+else@lab.example", "researcher"),
        ("o'neill@clinic.example", "reader"),
        ("eve+x@clinic.example", "reader"),  # another address than eve's
        ("eve@sub.clinic.example", None),
        ("eve@clinic.example.evil.example", None),
        ("eve@evilclinic.example", None),
        ("eve@clinic.example ", None),
        ("eve@clinic.example\n", None),
        (" eve@clinic.example", None),
        ("eve@evil.example@clinic.example", None),
        ('"eve@evil.example"@clinic.example', None),
        ("@clinic.example", None),
        ("*@clinic.example", None),
        ("clinic.example", None),
        ("eve@", None),
        ("", None),
        ("еve@clinic.example", None),  # a Cyrillic letter
        ("eve@cliniс.example", None),  # another one
        ("ev\u200be@clinic.example", None),  # one that is not seen
        ("\u212aate@lab.example", None),  # the sign of Kelvin, whose lower case is k
        ("eve＠clinic.example", None),
        ("e" * 250 + "@clinic.example", None),
    ],
)
def test_a_role_goes_to_an_address_or_to_all_of_one_domain(address, role):
    assert RULES.role_of(address) == role


def claims(**changes):
    known = {"email": "eve@clinic.example", "email_verified": True, "iat": NOW - 60, "iss": "https://other.example"}
    return {name: value for name, value in (known | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"email": None}, "told no e-mail address"),
        ({"email": ""}, "told no e-mail address"),
        ({"email": ["eve@clinic.example"]}, "told no e-mail address"),
        ({"email_verified": False}, "Nobody has verified the address eve@clinic.example"),
        ({"email_verified": "false"}, "Nobody has verified"),
        ({"email_verified": 1}, "Nobody has verified"),
        ({"email_verified": None}, "Nobody has verified"),
        ({"email_verified": None, "iss": "https://login.example/tenant/x"}, "Nobody has verified"),
        ({"email_verified": False, "iss": "https://login.example/tenant"}, "Nobody has verified"),
        ({"iat": None}, "does not say when it was"),
        ({"iat": True}, "does not say when it was"),
        ({"iat": NOW - 12 * 3600 - 1}, "is older than 12 hours: sign in again"),
        ({"email": "eve@evil.example"}, "eve@evil.example may not use this app: no list has this address"),
        ({"email": "еve@clinic.example"}, r"\\u0435ve@clinic.example may not use this app"),
    ],
)
def test_who_may_not_come_in_is_told_why_and_whom_to_ask(changes, sentence):
    with pytest.raises(UserError, match=sentence) as refused:
        RULES.admit(claims(**changes), NOW)
    assert "iat" in changes or str(refused.value).endswith("Ask prof@clinic.example.")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"email_verified": "true"},
        {"email_verified": None, "iss": "https://login.example/tenant"},
        {"email": "EVE@Clinic.example"},
        {"iat": NOW - 12 * 3600},
    ],
)
def test_who_may_come_in_has_an_address_in_small_letters_and_a_role(changes):
    assert RULES.admit(claims(**changes), NOW) == ("eve@clinic.example", "researcher")


def test_without_an_admin_that_has_an_address_somebody_else_is_to_be_asked():
    assert Access(admins=["*@clinic.example"]).whom_to_ask == "Ask whoever runs this server."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('admin = ["a@b.c"]', "colora-access.toml: there is no setting 'admin': did you mean 'admins'"),
        ('admins = "a@b.c"', "admins: Input should be a valid list, but is 'a@b.c'"),
        ("readers = [1]", "readers: Input should be a valid string, but is 1"),
        ('readers = ["a"]', "readers: 'a' is neither an address, such as eve@lab.example, nor"),
        ('readers = ["*"]', "is neither an address"),
        ('readers = ["*@*.b.c"]', "is neither an address"),
        ('readers = ["@b.c"]', "is neither an address"),
        ('readers = ["a@b@c"]', "is neither an address"),
        ('readers = [""]', "is neither an address"),
        ('readers = ["аnn@b.c"]', "is neither an address"),  # a Cyrillic letter, that nobody could sign in with
        ('data_roots = ["scans"]', "data_roots: 'scans' must be an absolute path, or begin with ~/"),
        ('data_roots = [""]', "must be an absolute path"),
        ('data_roots = ["~nobody-of-this-name/x"]', "There is no home folder"),
        ("session_hours = 0", "session_hours: Input should be greater than 0, but is 0"),
        ("admins = [", "colora-access.toml cannot be read: "),
        (b"admins = ['\xff']", "colora-access.toml cannot be read: "),
    ],
)
def test_what_is_wrong_in_the_file_is_one_sentence(access_toml, text, sentence):
    access_toml(text)
    with pytest.raises(UserError, match=sentence) as wrong:
        load_access()
    assert "\n" not in str(wrong.value)


def test_a_file_that_is_named_and_cannot_be_read_closes_and_does_not_open(access_toml, monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"colora-access.toml cannot be read: No such file"):
        load_access()
    monkeypatch.setenv("COLORA_ACCESS", str(tmp_path))
    with pytest.raises(UserError, match="cannot be read: it is a folder"):
        load_access()


def test_the_file_is_looked_for_like_the_clusters_and_read_anew_when_it_changes(monkeypatch, tmp_path):
    monkeypatch.delenv("COLORA_ACCESS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "colora" / "colora-access.toml"
    monkeypatch.setattr("colora.system.installation.ROOT", tmp_path / "app")
    assert (access_file(), load_access()) == (None, None)
    path.parent.mkdir()
    for role in ("readers", "admins"):
        path.write_text(f'{role} = ["a@b.c"]')
        os.utime(path, ns=(1, 1))  # long ago: it is remembered
        assert access_file() == path and load_access().role_of("a@b.c") == role.removesuffix("s")
        assert load_access() is load_access()


def test_each_action_takes_a_role_and_others_things_never_less():
    assert ROLES == ("reader", "researcher", "admin")
    for rule in ACTIONS.values():
        assert ROLES.index(rule.own) <= ROLES.index(rule.others)
    of_reader = {action for action, rule in ACTIONS.items() if rule.own == "reader"}
    assert of_reader == {"judge", "put-back"}
    alone = {action for action, rule in ACTIONS.items() if rule.own == "admin"}
    assert alone == {"rm", "cut-rm", "delete", "empty-trash"}
    own = {action for action, rule in ACTIONS.items() if rule.own != rule.others}
    assert own == {"judge", "put-back", "stop", "resume", "retry", "move", "replace-cut", "test-rm", "upload-rm"}


# ---- data roots


@pytest.mark.parametrize(
    ("place", "allowed"),
    [
        ("oct", True),
        ("oct/left/1.png", True),
        ("oct/not-there/x", True),
        ("oct/../oct/x", True),
        ("oct2", False),
        ("oct2/x", False),
        ("oct/../secret", False),
        ("oct/out/x", False),  # a link that leads out
        ("inside/x", True),  # a link that leads in
        ("", False),
        ("../oct", False),
    ],
)
def test_a_place_lies_in_a_root_where_its_links_end_there(tmp_path, place, allowed):
    for name in ("oct", "oct2", "secret"):
        (tmp_path / name).mkdir()
    (tmp_path / "oct" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "inside").symlink_to(tmp_path / "oct")
    assert Access(data_roots=[f"{tmp_path}/oct/"]).allows(tmp_path / place) is allowed


def test_a_root_may_be_a_link_itself_and_none_of_the_roots_allows_nothing(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Access(data_roots=[str(tmp_path / "link")]).allows(tmp_path / "real" / "x")
    assert not Access(data_roots=[]).allows(tmp_path)
