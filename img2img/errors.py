"""Errors whose text is one line a user can act on; the command line prints it without a traceback."""


class Img2ImgError(Exception):
    """Anything the suite can explain in one line."""


class InputError(Img2ImgError, ValueError):
    """What a function was given is no picture of a kind it takes, or an option is out of its range."""


class ImageError(Img2ImgError):
    """A file is no picture we read, is damaged, or cannot be written."""


class BitstreamError(Img2ImgError):
    """An `.i2i` file is damaged, truncated, too new, or needs a model that is not here."""


class FormatError(ImageError, BitstreamError):
    """A file is of another kind than those that are read here."""


class TooLargeError(ImageError, BitstreamError):
    """A file has more pixels than are allowed."""


class DataError(Img2ImgError):
    """A study's data set or picture is not there, or not what it needs."""


class AddressError(Img2ImgError):
    """An address (s3://...) that cannot be used: no such scheme, or what reads it is not installed."""


class StorageError(Img2ImgError):
    """Where an address leads cannot be reached, or refuses; trying again may help."""


class WeightsError(Img2ImgError):
    """A weight file is missing, damaged, or not what its index says."""


class TrainingError(Img2ImgError):
    """A recipe or a training folder does not fit."""


class TruncatedError(BitstreamError):
    """An `.i2i` file ends too soon."""


class UnreachableError(Img2ImgError):
    """No `.i2i` file of a picture is as small, or as good, as asked for."""


class ExportError(Img2ImgError):
    """A network cannot be exported, or the file written computes something else."""
