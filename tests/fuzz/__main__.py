"""``python -m fuzz DECODER SECONDS``: looks for inputs that break a decoder, by coverage.

Atheris (libFuzzer) changes inputs and keeps those that reach code not reached before. What a
pydantic validator says is made into coverage too, since its own code is not Python. In the end what
broke the decoder, and what says something new of it, is kept in ``tests/fuzz/found``, where
``tests/fuzz/test_decoders.py`` tries it each time.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(
    include=[
        "schemas",
        "streams",
        "agents",
        "config",
        "converters",
        "api",
        "chat",
        "jwt",
        "dotenv",
    ],
    enable_loader_override=False,
):
    from fuzz.decoder import Decoder, outcome
    from fuzz.decoders import DECODERS
from fuzz.found_inputs import found, keep, keep_new
from fuzz.json_mutation import mutated, parts_of

CORPUS = Path(__file__).parents[2] / ".tools" / "fuzz"
MOST_KEPT = 40
_MOST_MEGABYTES = 2_048
_MARKS = [atheris.instrument_func(eval("lambda: None")) for _ in range(4_096)]  # noqa: S307


def main() -> int:
    told = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").split("\n")[0])
    told.add_argument("decoder", choices=sorted(DECODERS))
    told.add_argument("seconds", type=int)
    asked = told.parse_args()
    decoder = DECODERS[asked.decoder]
    corpus, broken = CORPUS / decoder.name, CORPUS / f"{decoder.name}.broken"
    for folder in (corpus, broken):
        folder.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate((*decoder.seeds, *found(decoder).values())):
        (corpus / f"seed-{number}").write_bytes(raw)
    # In a process of its own: libFuzzer ends the process that it runs in.
    child = subprocess.run(
        [sys.executable, "-m", "fuzz", decoder.name, str(asked.seconds)],
        env={**os.environ, "LEARNER_TEST_FUZZ": "1"},
        check=False,
    )
    culprits = [file.read_bytes() for file in broken.iterdir()]
    for raw in culprits:
        print(f"{decoder.name}: broken by {keep(decoder, raw)}")
    for file in broken.iterdir():
        file.unlink()
    inputs = [file.read_bytes() for file in corpus.iterdir()]
    kept = keep_new(decoder, inputs, MOST_KEPT)
    print(f"{decoder.name}: {len(inputs)} inputs by coverage, {len(kept)} of them kept as new")
    return 1 if culprits or child.returncode else 0


def fuzz(decoder: Decoder, seconds: int) -> None:
    """Runs libFuzzer, which ends the process."""
    parts = parts_of(line for seed in decoder.seeds for line in seed.split(b"\n"))

    def one(raw: bytes) -> None:
        for word in outcome(decoder, raw):
            _MARKS[zlib.crc32(word.encode()) % len(_MARKS)]()

    def mutate(raw: bytes, longest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        changed = mutated(raw, parts, rng) if rng.random() < 0.6 else None
        if changed is None or len(changed) > longest:
            changed = atheris.Mutate(raw, longest)
        return bytes(changed)

    folder = CORPUS / decoder.name
    arguments: list[Any] = [
        sys.argv[0],
        str(folder),
        f"-artifact_prefix={folder}.broken/",
        f"-max_total_time={seconds}",
        f"-max_len={decoder.longest}",
        f"-rss_limit_mb={_MOST_MEGABYTES}",
        "-timeout=20",
        "-print_final_stats=1",
        "-verbosity=1",
        "-len_control=0",
    ]
    atheris.Setup(arguments, one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    if os.environ.get("LEARNER_TEST_FUZZ") == "1":
        fuzz(DECODERS[sys.argv[1]], int(sys.argv[2]))
    sys.exit(main())
