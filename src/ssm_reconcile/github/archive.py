"""The archive of an artifact -> the text of its files, within limits."""

from __future__ import annotations

import io
import zipfile

from ssm_reconcile.errors import UsageError

ZIP_LIMIT = 100_000_000
"""Maximum bytes of an archive: a plan of 100,000 changes has about 10 MB."""
FILE_LIMIT = 400_000_000
"""Maximum bytes of a file in it."""
MOST_FILES = 50
"""Maximum files: a plan, its publication, and a comment for each replication."""


def read_archive(content: bytes) -> dict[str, str]:
    """Return the text of each file by its name.

    Args:
        content: The archive, as GitHub serves it: a ZIP file.

    Raises:
        UsageError: It is not a ZIP file of a few texts on one level.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_FILES:
                raise UsageError("the artifact has too many files")
            if sum(entry.file_size for entry in entries) > FILE_LIMIT:
                raise UsageError("the files in the artifact are too large")
            if any("/" in entry.filename for entry in entries):
                raise UsageError("the artifact has directories")
            return {entry.filename: archive.read(entry).decode("utf-8") for entry in entries}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise UsageError("the artifact does not hold one plan, or a few texts") from error
