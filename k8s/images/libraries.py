"""libraries.py INTO WHEEL...: takes out of wheels the libraries that segfleet loads, laid out as TensorFlow looks for them
(tensorflow/*.so.2, nvidia/NAME/lib/*.so.*), and the licences that go with them. Times are zeroed: the same wheels give the same layer."""

import os
import pathlib
import re
import shutil
import sys
import zipfile

LIBRARY = re.compile(
    r"tensorflow/(libtensorflow_(framework|cc)\.so\.2|THIRD_PARTY_NOTICES\.txt)"
    # Not the doubles for other uses: drop-in BLAS and FFTW, several GPUs at once, an old compiler.
    r"|nvidia/\w+/lib/lib(?!nvblas|cufftw|cusolverMg|nvrtc[\w-]*\.alt)[\w-]+\.so[.\d]*"
)
LICENCE = re.compile(r"(\w+)-[^/]+\.dist-info/(?:licenses/)?(licen[cs]e[^/]*)", re.IGNORECASE)


def place(name):
    """Where a file of a wheel goes, or None."""
    if LIBRARY.fullmatch(name):
        return name
    licence = LICENCE.fullmatch(name)
    if licence:
        folder = "tensorflow" if licence[1].startswith("tensorflow") else "nvidia"
        return f"{folder}/licenses/{licence[1]}/{licence[2]}"
    return None


def main(into, wheels):
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if place(name)]
            if not any(".so" in name for name in names):
                sys.exit(f"{wheel} holds no library that is wanted: has its layout changed?")
            for name in names:
                target = pathlib.Path(into, place(name))
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 22)
                target.chmod(0o644)
                os.utime(target, (0, 0))


main(sys.argv[1], sys.argv[2:])
