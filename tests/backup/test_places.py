"""Places as they are written: kinds, what is elsewhere, what is refused at load."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from backup.keep import KeepRule
from backup.places import Second, Where
from tests.backup.room import Room


@pytest.mark.parametrize(("address", "kind", "elsewhere"), [
    ("/srv/kho", "local", False), ("rest:http://127.0.0.1:8000/", "rest", False), ("rest:http://[::1]:8000/", "rest", False),
    ("rest:http://localhost/", "rest", False), ("rest:https://[2001:db8::1]:8000/xa/", "rest", True),
    ("rest:https://kho.example.vn/xa/", "rest", True), ("s3:https://s3.example.vn/kho/xa", "s3", True),
    ("s3:http://127.0.0.1:9000/kho", "s3", False), ("sftp:kho:/xa", "sftp", True), ("b2:kho:xa", "other", True)])
def test_kind_and_whether_it_is_elsewhere(address: str, kind: str, elsewhere: bool) -> None:
    place = Where(repository=address, password="command:true")
    assert (place.kind, place.elsewhere) == (kind, elsewhere)
    assert Where(repository=address, password="command:true", off_host=not elsewhere).elsewhere is not elsewhere


def test_a_relative_repository_is_taken_from_its_file(tmp_path: Path) -> None:
    place = Where.model_validate({"repository": "../kho", "password": "command:true"}, context={"base": tmp_path / "etc"})
    assert place.repository == str(tmp_path / "kho")


@pytest.mark.parametrize(("body", "sign"), [
    ({"repository": "rest:https://a:b@kho.example.vn/"}, "không viết mật khẩu"),
    ({"repository": "/srv/kho", "login": "command:true"}, "login"),
    ({"repository": "/srv/kho", "password": "mat-khau-that"}, "tham chiếu"),
    ({"repository": "/srv/kho", "keep": {"last": 2}}, "greater"),
    ({"repository": "/srv/kho", "keep": {"hours": 2}}, "hours"),
    ({"repository": "/srv/kho", "apend_only": True}, "apend_only")])
def test_mistakes_are_refused_with_a_reason(body: dict[str, object], sign: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Second.model_validate({"password": "command:true", "schedule": "0 3 * * *", **body})
    said = " ".join(f"{one.get('ctx', {}).get('vi', '')} {one['msg']} {one['loc']}" for one in caught.value.errors())
    assert sign in said and "mat-khau-that" not in said


def test_places_of_a_site_are_apart(room: Room) -> None:
    second = {"repository": "/srv/kho2", "password": "command:true", "schedule": "0 3 * * *"}
    assert list(room.settings(second={"xa": second}).places()) == ["first", "xa"]
    for wrong in ({"first": second}, {"xa": {**second, "repository": str(room.repository)}},
                  {"xa": {**second, "schedule": "mỗi đêm"}}, {"xa": {**second, "repository": str(room.www / "kho")}}):
        with pytest.raises(ValidationError):
            room.settings(second=wrong)


def test_a_rule_of_nothing_is_the_usual_one() -> None:
    place = Where(repository="/srv/kho", password="command:true", keep=KeepRule())
    assert place.keep is not None and place.keep.last == 7
