"""Where files lie: on this machine, or at an address such as s3://bucket/photo.jpg, which fsspec reads and writes.

An address is opened only where a user named it, or a folder of it; never because of what a picture says. Local paths
never come near fsspec. `file://` is a local path.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.request import url2pathname

from .errors import AddressError, StorageError
from .whole_file import whole_file

ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+._-]*)(://|::(.*::)?[A-Za-z][A-Za-z0-9+.-]*://)")
WITHIN = "::"  # zip://folder/photo.jpg::s3://bucket/photos.zip
LOCAL = ("file", "local")
# Where one call puts a whole object: it is there at once, or not at all. Elsewhere a temporary name is renamed.
OBJECTS = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf", "memory", "oss", "oci", "tos"))
BUCKETS = OBJECTS - {"memory", "hf"}  # where an address begins with the name of a bucket or container
REFUSES_ITSELF = frozenset(("s3", "s3a", "gs", "gcs", "memory"))  # to replace an object, in the same call
ARCHIVES = frozenset(("zip", "tar", "libarchive"))
READ_ONLY = ARCHIVES | {"http", "https"}
# fsspec's helpers, which are no places, and what runs programs or holds its data in the address itself.
REFUSED = frozenset(("arrow_hdfs", "async_wrapper", "asynclocal", "asyncwrapper", "blockcache", "cached", "data"))
REFUSED |= {"dask", "dir", "dvc", "filecache", "generic", "git", "jlab", "jupyter", "pyscript", "reference", "root"}
REFUSED |= {"simplecache", "worker"}
ON_THIS_MACHINE = ARCHIVES | {"memory"}
SPOOLED = 64 * 2**20
FOLDERS = 16  # whose names are remembered


class Stamp(NamedTuple):
    """By what it is seen that a file has changed.

    Attributes:
        size: bytes.
        kind: `mtime`, in nanoseconds since 1970, or `etag`: what an object store says of its content.
        value: of that.
    """

    size: int
    kind: str
    value: str


class Found(NamedTuple):
    """A folder that was listed: its name below the first one, its folders and files, which may be taken out."""

    folder: str
    folders: dict[str, Any]
    files: dict[str, Stamp]


def is_address(name: str) -> bool:
    """Whether it is no local path."""
    return ":" in name and ADDRESS.match(name) is not None  # the first alone settles it of nearly all paths


def local(name: str) -> str:
    """The path of a `file://` address; anything else as it is."""
    scheme, mark, rest = name.partition("://")
    if not mark or scheme.lower() not in LOCAL:
        return name
    if not rest.startswith("/"):
        raise AddressError(f"{name}: an address of this machine has three slashes, {scheme}:///folder/file")
    return url2pathname(rest)


def check(name: str, writing: bool = False) -> None:
    """Refuse an address that cannot be used, before anything is done; nothing is asked of its store.

    Raises:
        AddressError: no such scheme, one that cannot be written to, or its package is not installed.
    """
    if not is_address(name):
        return
    scheme = _scheme(name)
    known = _known()
    if scheme not in known:
        raise AddressError(f"{name}: there is no scheme {scheme}://; there are {', '.join(sorted(known))}")
    for archive in name.split(WITHIN)[1:]:
        check(archive)
    if WITHIN in name and scheme not in ARCHIVES:
        raise AddressError(f"{name}: only zip:// and tar:// have another address (::) within")
    if writing and scheme in READ_ONLY:
        raise AddressError(f"{name}: nothing can be written to {scheme}://; name another output by -o OUT")
    if scheme not in ON_THIS_MACHINE and os.environ.get("IMG2IMG_OFFLINE") == "1":
        raise AddressError(f"{name}: IMG2IMG_OFFLINE=1 forbids {scheme}://")
    _class(scheme)


def _scheme(name: str) -> str:
    found = ADDRESS.match(name)
    return found["scheme"].lower() if found else ""


def joined(folder: str, name: str) -> str:
    """A name in a folder, which may be in an archive."""
    if not is_address(folder):
        return os.path.join(folder, name)
    inner, mark, archive = folder.partition(WITHIN)
    return f"{inner if inner.endswith('/') else inner + '/'}{name}{mark}{archive}"


def inner(name: str) -> str:
    """The path in an archive, without the archive's own; anything else as it is."""
    return name.partition(WITHIN)[0] if is_address(name) else name


def _known() -> set[str]:
    try:
        from fsspec import available_protocols
    except ImportError as error:
        raise AddressError("addresses need the extra remote: pip install 'img2img-suite[remote]'") from error
    return {scheme for scheme in available_protocols() if scheme not in REFUSED} - set(LOCAL)


def _class(scheme: str) -> Any:
    from fsspec import get_filesystem_class

    try:
        return get_filesystem_class(scheme)
    except (ImportError, ValueError) as error:
        raise AddressError(f"{scheme}:// needs a package that is not installed: {_one_line(error)}") from error


def _at(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    from fsspec.core import url_to_fs

    # What others write meanwhile has to be seen.
    options: dict[str, Any] = {} if WITHIN in address else {"use_listings_cache": False}
    if _scheme(address) in ("s3", "s3a"):
        options["max_concurrency"] = 1  # else it asks for the size of each object before it reads it
    system, path = url_to_fs(address, **options)
    return system, path


@contextmanager
def _in_our_words(address: str) -> Iterator[None]:
    """Whatever a store raises, in one line; that something is not there, or is there already, stays what it is."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, StorageError, AddressError):
        raise
    except PermissionError as error:
        raise StorageError(f"access denied ({_one_line(error) or _scheme(address)})") from error
    except Exception as error:  # each store has errors of its own
        raise StorageError(_one_line(error) or type(error).__name__) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


# ---- one file


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """A file, open for reading bytes; of an address all bytes are fetched at once, by one request where that is known.

    Raises:
        OSError: it is not there, or cannot be read.
        StorageError: its store cannot be reached, or refuses.
    """
    if not is_address(name):
        with open(name, "rb") as file:
            yield file
        return
    with _in_our_words(name):
        system, path = _at(name)
        try:
            data = system.cat_file(path)
        except FileNotFoundError as error:
            raise StorageError("no such object") from error
    yield BytesIO(data)


class _SameError(Exception):
    """What is written is there already."""


@contextmanager
def whole_output(target: str, overwrite: bool, same: bool = False) -> Iterator[BinaryIO]:
    """A seekable file that appears under its name, or at its address, when it is complete, or not at all.

    Args:
        target: the path or address.
        overwrite: replace what is there.
        same: a file of just these bytes that is there already is fine: it is what this call wants.

    Raises:
        FileExistsError: it exists and must not be overwritten.
        OSError: the folder or the file cannot be written.
        StorageError: its store cannot be reached, or refuses.
    """
    if not is_address(target):
        with suppress(_SameError), whole_file(target, overwrite) as file:
            yield file
            if same and not overwrite and os.path.isfile(target) and same_bytes(target, file):
                raise _SameError
        return
    with SpooledTemporaryFile(SPOOLED) as spool:
        file = cast(BinaryIO, spool)
        yield file
        file.seek(0)
        try:
            _put(target, file.read(), overwrite)
        except FileExistsError:
            if not (same and same_bytes(target, file)):
                raise


def _put(target: str, data: bytes, overwrite: bool) -> None:
    scheme = _scheme(target)
    if scheme in READ_ONLY:
        raise StorageError(f"nothing can be written to {scheme}://")
    with _in_our_words(target):
        system, path = _at(target)
        if not overwrite and scheme not in REFUSES_ITSELF and system.exists(path):
            raise FileExistsError
        try:
            if scheme in OBJECTS:
                how = {"mode": "create"} if scheme in REFUSES_ITSELF and not overwrite else {}
                system.pipe_file(path, data, **how)
            else:
                _put_and_rename(system, path, data)
        except FileNotFoundError as error:  # what is missing is what would hold it
            raise StorageError(f"there is no bucket or folder for it ({_one_line(error)})") from error


def _put_and_rename(system: Any, path: str, data: bytes) -> None:
    folder, _, name = path.rpartition("/")
    if folder:
        system.makedirs(folder, exist_ok=True)
    part = f"{folder}/.{name}.{os.urandom(8).hex()}.part"
    try:
        system.pipe_file(part, data)
        system.mv(part, path)
    finally:
        if system.exists(part):
            system.rm_file(part)


def same_bytes(target: str, data: BinaryIO) -> bool:
    """Whether a file holds just what another one, open and seekable, does."""
    data.seek(0)
    with opened(target) as there:
        while True:
            ours, theirs = data.read(2**20), there.read(2**20)
            if ours != theirs:
                return False
            if not ours:
                return True


def stamp_of(name: str) -> Stamp | None:
    """The stamp of a local file, None if it is not there; of an address, which would cost a request, None."""
    if is_address(name):
        return None
    try:
        status = os.stat(name)
    except OSError:
        return None
    return Stamp(status.st_size, "mtime", str(status.st_mtime_ns))


# ---- what there is


def exists(name: str) -> bool:
    """Whether a file or folder is there; of an address by one request."""
    if not is_address(name):
        return os.path.exists(name)
    return _info(name) is not None


def is_folder(name: str) -> bool:
    """Whether it is a folder; of an address: whether anything begins with it and a slash."""
    if not is_address(name):
        return os.path.isdir(name)
    info = _info(name)
    return info is not None and info["type"] == "directory"


def _info(address: str) -> dict[str, Any] | None:
    with _in_our_words(address):
        system, path = _at(address)
        try:
            info: dict[str, Any] = system.info(path)
        except FileNotFoundError as error:
            if (cause := error.__cause__) is not None and _did_not_answer(cause):
                raise cause from error
            return None
    return info


def _did_not_answer(error: BaseException) -> bool:
    """Whether a store said nothing of what is there; fsspec's HTTP takes that for nothing being there."""
    refused = getattr(error, "status", 404) not in (404, 410)
    return refused or (isinstance(error, OSError) and not isinstance(error, FileNotFoundError))


def is_bucket(address: str) -> bool:
    """Whether an address is a bucket or container, with nothing behind it."""
    return _scheme(address) in BUCKETS and "/" not in address.partition("://")[2].rstrip("/")


def bucket_is_missing(address: str) -> bool:
    """Whether what an address begins with, a bucket or container, is not there, so that nothing can be written.

    Where that may not be asked it is not known, and taken for there.
    """
    scheme, rest = address.split("://", 1)
    if scheme.lower() not in BUCKETS:
        return False
    try:
        return not exists(f"{scheme}://{rest.partition('/')[0]}")
    except StorageError as error:
        if "access denied" in str(error):
            return False
        raise


def walk(address: str) -> Iterator[Found]:
    """The folders of an address, itself first; of each what it holds, by one listing.

    Raises:
        StorageError: its store cannot be reached, or refuses.
    """
    with _in_our_words(address):
        system, top = _at(address)
        top = top.rstrip("/")
        for here, folders, files in system.walk(top, detail=True, on_error="raise"):
            below = here.rstrip("/")[len(top) :].strip("/")
            files.pop("", None)  # an object whose name ends with a slash: the mark of an empty folder
            yield Found(below, folders, {name: _stamp(info) for name, info in files.items()})


def _stamp(info: dict[str, Any]) -> Stamp:
    """Of what a listing says of a file; its ETag, else when it was changed."""
    marks = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime", "created", "CRC")
    value = next((info[mark] for mark in marks if info.get(mark) is not None), "")
    return Stamp(int(info.get("size") or 0), "etag", str(value).strip('"'))


class Presence:
    """Whether files are there, by one listing of each folder at an address; of local paths by asking."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, frozenset[str]] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        """Whether it exists."""
        if not is_address(name):
            return os.path.lexists(name)
        folder, _, last = name.rpartition("/")
        if folder not in self._names:
            self._names[folder] = _names_in(folder)
            while len(self._names) > FOLDERS:
                self._names.popitem(last=False)
        return last in self._names[folder]


def _names_in(folder: str) -> frozenset[str]:
    with _in_our_words(folder):
        system, path = _at(folder)
        try:
            return frozenset(name.rstrip("/").rpartition("/")[2] for name in system.ls(path, detail=False))
        except FileNotFoundError:
            return frozenset()
