"""References that are made of others: a login inside a URL, a shared credentials file. Never from a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from ops.errors import SecretError
from ops.secrets import aws_login, kind_of, resolve, url_login
from ops.settings import Reference


def pair(tmp: Path, value: bytes) -> str:
    (tmp / "login").write_bytes(value)
    (tmp / "login").chmod(0o600)
    return f"file:{tmp}/login"


def test_a_login_goes_into_the_url_with_its_odd_signs_quoted(tmp_path: Path) -> None:
    reference = url_login(pair(tmp_path, "thôn:p@ss/w:ord #1\n".encode()), "rest:https://[::1]:8000/tn/")
    assert resolve(reference, tmp_path).reveal() == b"rest:https://th%C3%B4n:p%40ss%2Fw%3Aord%20%231@[::1]:8000/tn/"
    assert "p@ss" not in reference


def test_a_shared_credentials_file(tmp_path: Path) -> None:
    made = resolve(aws_login(pair(tmp_path, b"AKIA0:se/cret+1")), tmp_path).reveal()
    assert made == b"[default]\naws_access_key_id = AKIA0\naws_secret_access_key = se/cret+1\n"


@pytest.mark.parametrize("value", [b"only-a-word", b":x", b"ketoan:", b"a:b\nregion = evil"])
def test_what_is_no_login_is_refused_without_showing_it(tmp_path: Path, value: bytes) -> None:
    for reference in (url_login(pair(tmp_path, value), "rest:http://h/"), aws_login(f"file:{tmp_path}/login")):
        with pytest.raises(SecretError) as refused:
            resolve(reference, tmp_path)
        assert value.decode() not in refused.value.explain("en") and "name:password" in refused.value.explain("en")


@pytest.mark.parametrize("value", ["url-login:file:/x rest:http://h/", "aws-login:file:/x"])
def test_a_configuration_cannot_make_them(value: str) -> None:
    with pytest.raises(SecretError):
        kind_of(value)
    with pytest.raises(ValidationError):
        TypeAdapter(Reference).validate_python(value)
