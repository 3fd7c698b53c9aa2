"""A terminal: lines that stay, and below them one live line."""

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Terminal:
    """A terminal on stderr that a person watches."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.live: Status | None = None

    @property
    def width(self) -> int:
        """The width of the terminal in columns, as it is now."""
        return self.console.width

    def print(self, words: str) -> None:
        """Print a line that stays, above the live line."""
        self.console.print(escape(words))

    def now(self, words: str) -> None:
        """Show the live line: what is going on at this moment."""
        if self.live is None:
            self.live = self.console.status("")
            self.live.start()
        self.live.update(escape(words))

    def close(self) -> None:
        """Take the live line away."""
        if self.live is not None:
            self.live.stop()
            self.live = None
