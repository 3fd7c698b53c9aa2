"""Writes a Markdown file as one comment under the pull request of this job: `comment.py FILE`.

The comment carries a mark, by which the next run finds and renews it. Needs nothing but Python. Where there is no pull
request, or no right to comment (a fork), it says so and ends well: the plan is in the summary of the job, too.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIMIT = 65_000  # characters; the service refuses more than 65,536
PAGE = 100


def main() -> None:
    """Write the comment."""
    number = pull_request()
    if number is None:
        print("No pull request: the plan is in the summary of the job.")
        return
    mark = f"<!-- holdfast plan of {os.environ['WORKING_DIRECTORY']} -->"
    body = {"body": f"{mark}\n{shortened(Path(sys.argv[1]).read_text())}"}
    try:
        written = next((each for each in comments(number) if mark in (each["body"] or "")), None)
        if written is None:
            answer("POST", f"issues/{number}/comments", body)
        else:
            answer("PATCH", f"issues/comments/{written['id']}", body)
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403, 404):
            raise
        print(
            "::warning title=holdfast::The plan could not be written under the pull request:"
            f" status {error.code}. The token of this job may not comment; a job with `permissions:"
            " pull-requests: write` may, but for pull requests from forks."
        )


def pull_request() -> int | None:
    """The number, from the event that started this job."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text())
    found = event.get("pull_request") or {}
    number: int | None = found.get("number")
    return number


def comments(number: int) -> Iterator[dict[str, Any]]:
    """All of them, page by page."""
    page = 1
    while True:
        found = answer("GET", f"issues/{number}/comments?per_page={PAGE}&page={page}")
        yield from found
        if len(found) < PAGE:
            return
        page += 1


def shortened(text: str) -> str:
    """As much as a comment may hold, to the end of a line."""
    if len(text) <= LIMIT:
        return text
    kept = text[:LIMIT].rpartition("\n")[0]
    return f"{kept}\n\n> The rest is in the summary of the job.\n"


def answer(method: str, path: str, body: object = None) -> Any:
    """What the service answers. Raises HTTPError."""
    request = urllib.request.Request(
        f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['TOKEN']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


if __name__ == "__main__":
    main()
