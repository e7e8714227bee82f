"""docs/http.md: what a calling service copies from it works."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from api.limits import Limits
from api_suite.served import USER, Stores, delivery, served
from faults.command_process import environment

DOCUMENT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
WORDS = set(re.findall(r"`(key-[a-z]+|[a-z]+(?:-[a-z]+)+)`", DOCUMENT.partition("| status")[2]))


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
async def test_its_commands_run_one_after_the_other(kept: Stores, tmp_path: Path) -> None:
    await kept.tell(delivery(1), delivery(2, "primary_classification"))
    async with served(kept.settings) as caller:
        assert len(BLOCKS) == 5
        process = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", "\n".join(BLOCKS),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **environment(kept.settings),
                "API": caller.base,
                "USER_ID": USER,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
        )  # fmt: skip
        async with asyncio.timeout(120):
            out, err = await process.communicate()
    assert process.returncode == 0, err
    said = out.decode()
    assert '"complete":true' in said
    assert delivery(1).llm_prompt_summary in said
    assert "\n304\n" in said
    assert said.count("event: decision") == 2
    assert '{"token":"ey' in said


def test_the_words_and_figures_are_those_of_the_code() -> None:
    code = "".join(file.read_text() for file in (Path(__file__).parents[2] / "api").glob("*.py"))
    assert len(WORDS) > 8
    assert {w for w in WORDS if w not in code and w.removeprefix("key-") not in code} == set()
    limits = Limits()
    assert f"{limits.requests_per_second:g} times a second" in DOCUMENT
    assert f"wait {limits.waiters_of_a_key} times at once" in DOCUMENT
