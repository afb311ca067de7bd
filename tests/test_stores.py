"""Files at addresses, on fsspec's memory and on an S3 server of this machine."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from img2img import stores
from img2img.errors import AddressError, StorageError

fsspec = pytest.importorskip("fsspec", reason="the extra remote is not installed")


@pytest.fixture(params=["memory", "s3"])
def top(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address that ends with a slash, and has nothing below it."""
    if request.param == "s3":
        request.getfixturevalue("s3")
    address = f"{request.param}://pictures/{request.node.name.translate(str.maketrans('[]', '__'))}/"
    yield address
    system, path = fsspec.core.url_to_fs(address)
    if system.exists(path):
        system.rm(path, recursive=True)


def put(address: str, data: bytes, overwrite: bool = False) -> None:
    with stores.whole_output(address, overwrite) as file:
        file.write(data)


def get(address: str) -> bytes:
    with stores.opened(address) as file:
        return file.read()


def test_an_object_appears_when_it_is_whole_or_not_at_all(top: str) -> None:
    def half() -> None:
        with stores.whole_output(top + "a.png", False) as file:
            file.write(b"half of it")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        half()
    assert not stores.exists(top + "a.png")
    put(top + "a.png", b"one")
    with pytest.raises(FileExistsError):
        put(top + "a.png", b"two")
    assert get(top + "a.png") == b"one"
    put(top + "a.png", b"three", overwrite=True)
    assert get(top + "a.png") == b"three"


def test_of_many_that_write_one_object_one_wins(top: str) -> None:
    won: list[int] = []

    def write(number: int) -> None:
        try:
            put(top + "a.png", b"%d" % number)
        except FileExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if top.startswith("s3"):  # fsspec's memory looks first and writes then
        assert len(won) == 1
    assert get(top + "a.png") in [b"%d" % number for number in won]


def test_what_is_not_there_is_said_in_one_line(top: str) -> None:
    with pytest.raises(StorageError, match="no such object"):
        get(top + "a.png")
    assert not stores.exists(top + "a.png")
    assert not stores.is_folder(top + "a")


def test_a_tree_is_walked_with_stamps_that_change_as_files_do(top: str) -> None:
    for name in ("a.png", "x/b.png", "x/y/c.png"):
        put(top + name, b"1234")

    def listed() -> dict[str, Any]:
        return {f"{found.folder}/{name}": stamp for found in stores.walk(top) for name, stamp in found.files.items()}

    before = listed()
    assert [*before] == ["/a.png", "x/b.png", "x/y/c.png"]
    assert {stamp.size for stamp in before.values()} == {4}
    put(top + "x/b.png", b"4321", overwrite=True)
    changed = listed()
    assert [name for name in before if before[name] != changed[name]] == ["x/b.png"]
    for found in stores.walk(top):
        assert found.folder in ("", "x")
        found.folders.pop("y", None)  # is then not looked into


def test_presence_takes_one_listing_a_folder(top: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(f"{top}x/{number}.png", b"1")
    listings = []
    real = stores._names_in
    monkeypatch.setattr(stores, "_names_in", lambda folder: listings.append(folder) or real(folder))
    presence = stores.Presence()
    assert [number for number in range(10) if f"{top}x/{number}.png" in presence] == [0, 1, 2, 3, 4]
    assert f"{top}none/0.png" not in presence
    assert len(listings) == 2


def test_one_request_reads_an_object_and_one_writes_it(s3: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "werkzeug")  # the server's log
    put("s3://pictures/one.png", b"1")
    get("s3://pictures/one.png")
    assert [record.message.split('"')[1].split()[0] for record in caplog.records] == ["PUT", "GET"]


def test_a_bucket_is_missing(s3: Any) -> None:
    assert stores.bucket_is_missing("s3://nosuch/a.png")
    assert not stores.bucket_is_missing("s3://pictures/a.png")
    with pytest.raises(StorageError, match="no bucket"):
        put("s3://nosuch/a.png", b"1")


def test_a_store_that_cannot_be_reached_is_said_in_one_line(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = fsspec.get_filesystem_class("s3")
    monkeypatch.setattr(kind, "retries", 1)
    for changed in ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {"AWS_ACCESS_KEY_ID": None}):
        for name, value in changed.items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
        kind.clear_instance_cache()
        with pytest.raises(StorageError) as caught:
            get("s3://pictures/one.png")
        assert "\n" not in str(caught.value)
        monkeypatch.undo()
        kind.clear_instance_cache()


def test_archives_are_read(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("p/a.png", "1")
        archive.writestr("p/x/b.png", "2")
    address = f"zip://p::{tmp_path / 'p.zip'}"
    assert [found.folder for found in stores.walk(address)] == ["", "x"]
    assert get(stores.joined(address, "x/b.png")) == b"2"
    assert stores.inner(stores.joined(address, "x/b.png")) == "zip://p/x/b.png"
    with pytest.raises(AddressError, match="nothing can be written"):
        stores.check(address, writing=True)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("q3://bucket/a.png", "there is no scheme q3"),
        ("simplecache::s3://bucket/a.png", "there is no scheme simplecache"),
        ("data://x", "there is no scheme data"),
        ("zip://a.png::q3://bucket/a.zip", "there is no scheme q3"),
        ("memory://a::memory://b", "only zip"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(name: str, why: str) -> None:
    with pytest.raises(AddressError, match=why):
        stores.check(name)


def test_offline_means_no_address_of_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMG2IMG_OFFLINE", "1")
    stores.check("memory://a.png")
    with pytest.raises(AddressError, match="IMG2IMG_OFFLINE"):
        stores.check("ftp://host/a.png")


def test_local_paths_stay_what_they_are(tmp_path: Path) -> None:
    assert stores.local((tmp_path / "a b.png").as_uri()) == str(tmp_path / "a b.png")
    with pytest.raises(AddressError, match="three slashes"):
        stores.local("file://a.png")
    for name in ("a.png", "a:b.png", "a::b.png", "/x//y.png", "C:\\x.png", "-"):
        assert not stores.is_address(name)
        assert stores.local(name) == stores.inner(name) == name
    file = tmp_path / "x" / "a.png"
    put(str(file), b"1")
    assert stores.same_bytes(str(file), file.open("rb"))
    stamp = stores.stamp_of(str(file))
    assert stamp is not None
    assert (stamp.size, stamp.kind) == (1, "mtime")
    os.utime(file, ns=(1, 1))
    assert stores.stamp_of(str(file)) == (1, "mtime", "1")
    assert stores.stamp_of(str(tmp_path / "none")) is None
