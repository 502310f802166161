"""Where settings and data lie on each system, asked with that system's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentimento_shared import places

HOME = Path("/home/ada")


def config(platform: str, **environ: str) -> str:
    return places.config_folder(environ, platform, HOME).as_posix()


def data(platform: str, **environ: str) -> str:
    return places.data_folder(environ, platform, HOME).as_posix()


def test_linux_uses_the_xdg_defaults() -> None:
    assert config("linux") == "/home/ada/.config/pentimento"
    assert data("linux") == "/home/ada/.local/share/pentimento"


def test_linux_follows_the_xdg_variables() -> None:
    assert config("linux", XDG_CONFIG_HOME="/etc/ada") == "/etc/ada/pentimento"
    assert data("linux", XDG_DATA_HOME="/big/disk") == "/big/disk/pentimento"


@pytest.mark.parametrize("invalid", ["", "relative/folder", "~/config"])
def test_an_xdg_variable_that_is_not_absolute_is_ignored(invalid: str) -> None:
    assert config("linux", XDG_CONFIG_HOME=invalid) == "/home/ada/.config/pentimento"


def test_macos_keeps_both_in_application_support() -> None:
    assert config("darwin") == "/home/ada/Library/Application Support/Pentimento/config"
    assert data("darwin") == "/home/ada/Library/Application Support/Pentimento/data"


def test_windows_keeps_both_where_store_apps_see_them_too() -> None:
    app_data = {"APPDATA": "C:/Users/ada/AppData/Roaming", "LOCALAPPDATA": "C:/Users/ada/AppData/Local"}
    assert config("win32", **app_data) == "/home/ada/.pentimento/config"
    assert data("win32", **app_data) == "/home/ada/.pentimento/data"


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "freebsd14"])
def test_pentimento_home_holds_everything_on_every_system(platform: str) -> None:
    environ = {places.HOME_VARIABLE: "/mnt/p", "XDG_CONFIG_HOME": "/x", "XDG_DATA_HOME": "/x"}
    assert config(platform, **environ) == "/mnt/p/config"
    assert data(platform, **environ) == "/mnt/p/data"


def test_an_empty_pentimento_home_counts_as_none() -> None:
    assert config("linux", PENTIMENTO_HOME="") == "/home/ada/.config/pentimento"


def test_an_editor_in_a_flatpak_looks_outside_its_sandbox() -> None:
    inside = {
        "FLATPAK_ID": "org.kde.krita",
        "XDG_CONFIG_HOME": "/home/ada/.var/app/org.kde.krita/config",
        "XDG_DATA_HOME": "/home/ada/.var/app/org.kde.krita/data",
    }
    assert config("linux", **inside) == config("linux")
    assert data("linux", **inside) == data("linux")
    assert config("linux", HOST_XDG_CONFIG_HOME="/etc/ada", **inside) == "/etc/ada/pentimento"


def test_an_editor_in_a_snap_looks_outside_its_sandbox() -> None:
    inside = Path("/home/ada/snap/gimp/42")
    environ = {"SNAP_REAL_HOME": "/home/ada", "XDG_CONFIG_HOME": f"{inside}/.config"}
    assert places.config_folder(environ, "linux", inside) == HOME / ".config/pentimento"
    assert places.data_folder(environ, "linux", inside) == HOME / ".local/share/pentimento"


def test_token_and_address_lie_in_the_config_folder() -> None:
    environ = {places.HOME_VARIABLE: "/mnt/p"}
    assert places.token_file(environ) == Path("/mnt/p/config/token")
    assert places.server_file(environ) == Path("/mnt/p/config/server.json")
    assert places.backend_file(environ) == Path("/mnt/p/config/backend.json")


def test_the_running_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(places.HOME_VARIABLE, str(tmp_path))
    assert places.data_folder() == tmp_path / "data"
