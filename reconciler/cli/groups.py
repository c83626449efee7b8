"""Groups of commands that say what was probably meant.

Owns: what is said of a command that there is not. Never: which commands there are (cli.main, and each group).
"""

import difflib

import click

_OF_A_JOB = ("new", "import", "export", "show", "explain", "trace", "suspend", "resume", "cancel", "retry")

# What people write who know other programs, or forget the first of two words.
ELSEWHERE = {
    **{name: f"job {name}" for name in _OF_A_JOB},
    **dict.fromkeys(("list", "ls", "jobs", "queue", "ps"), "status"),
    **dict.fromkeys(("start", "daemon", "serve", "up"), "run"),
    **dict.fromkeys(("check", "lint"), "validate"),
    "scan": "library scan",
    "verify": "library verify",
    "forget": "peers forget",
    "add": "job new",
}


class GuessingGroup(click.Group):
    """A group that shows its commands in the order in which they were added, and answers a wrong one with the right."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name every command."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with; raises click.UsageError with a guess where there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as refused:
            guess = self._guess(ctx, args[0])
            if not guess:
                raise
            raise click.UsageError(f"No such command '{args[0]}'. Did you mean `{guess}`?", ctx) from refused

    def _guess(self, ctx: click.Context, name: str) -> str:
        """What was probably meant, as it is written from the beginning; empty = nobody knows."""
        if close := difflib.get_close_matches(name, self.list_commands(ctx), n=1):
            return f"{ctx.command_path} {close[0]}"
        meant = ELSEWHERE.get(name, "")
        return f"{ctx.find_root().command_path} {meant}" if meant else ""
