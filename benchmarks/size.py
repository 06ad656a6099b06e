"""How large is the installation? What gifqa needs, without its model, in a fresh environment.

    python benchmarks/size.py [--wheel FILE] [--json OUT] [--markdown OUT]
    python benchmarks/size.py --installed SITE_PACKAGES

Builds a wheel of this repository (or takes one), installs it with pip into a new environment without extras,
and adds up the files there, compiled ones included. Not counted: Python itself, pip and setuptools; the
model (`gifqa/bundle`), which is told beside it. pip must be able to download what it does not have. With
--installed, the packages that lie in a folder are counted, and nothing is built or installed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.metadata import Distribution, distributions
from pathlib import Path

from reporting import Table, Target, add_output_flags, run, target_table, write_report

from gifqa.errors import ConfigError

ROOT = Path(__file__).parents[1]
NOT_COUNTED = frozenset({"pip", "setuptools"})
MEGABYTE = 10**6
SHOWN = 12
WANTED_MEGABYTES = 500.0


def main() -> None:
    """Install, count, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    if args.installed:
        sizes, model_bytes = measure(args.installed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            sizes, model_bytes = measure(install(Path(folder), args.wheel))
    total = sum(sizes.values()) / MEGABYTE
    target = Target("installed core without the model", WANTED_MEGABYTES, total, at_least=False, unit=" MB")
    figures = {
        "core_bytes": sum(sizes.values()),
        "model_bytes": model_bytes,
        "packages": sizes,
        "targets": [target.to_dict()],
    }
    write_report("size", args, figures, [table(sizes, model_bytes), target_table([target])], began)


def install(folder: Path, wheel: Path | None) -> Path:
    """The packages' folder of a new environment in `folder` with gifqa in it.

    Raises:
        ConfigError: if building or installing fails.
    """
    if wheel is None:
        call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
        wheel = next(folder.glob("gifqa-*.whl"))
    call(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    call(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    return Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


def call(*words: object) -> str:
    """What a command prints.

    Raises:
        ConfigError: if it fails; the message has the last line it wrote on stderr.
    """
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise ConfigError(
            f"{' '.join(map(str, words[1:4]))} ended with exit code {done.returncode}: {lines[-1]}. "
            "Run it by itself to see why."
        )
    return done.stdout


def measure(site_packages: Path) -> tuple[dict[str, int], int]:
    """Bytes of each package that is counted, the largest first, and bytes of the model.

    Args:
        site_packages: the folder of the packages.

    Raises:
        ConfigError: if gifqa is not installed there.
    """
    packages = {dist.metadata["Name"]: dist for dist in distributions(path=[str(site_packages)])}
    if "gifqa" not in packages:
        raise ConfigError(
            f"{site_packages} has {len(packages)} packages and gifqa is none of them; the folder is named "
            "site-packages. Install gifqa there, or leave --installed out."
        )
    model = site_packages / "gifqa" / "bundle"
    model_bytes = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    sizes = {name: size_of(dist) for name, dist in packages.items() if name not in NOT_COUNTED}
    sizes["gifqa"] -= model_bytes
    return dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))), model_bytes


def size_of(dist: Distribution) -> int:
    """Bytes of the files that pip recorded for a package and that are there."""
    paths = (Path(str(file.locate())) for file in dist.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def table(sizes: dict[str, int], model_bytes: int) -> Table:
    """The largest packages, the rest together, the sum, and the model."""
    largest = list(sizes.items())[:SHOWN]
    rest = list(sizes.items())[SHOWN:]
    lines = [(name, f"{size / MEGABYTE:.1f}") for name, size in largest]
    if rest:
        lines.append((f"{len(rest)} others", f"{sum(size for _, size in rest) / MEGABYTE:.1f}"))
    lines.append(("core", f"{sum(sizes.values()) / MEGABYTE:.1f}"))
    lines.append(("the model", f"{model_bytes / MEGABYTE:.1f}"))
    return Table("Installed size", ("package", "MB"), tuple(lines))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--wheel", type=Path, help="install this wheel instead of building one")
    parser.add_argument("--installed", type=Path, metavar="FOLDER", help="count the packages of this folder")
    add_output_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
