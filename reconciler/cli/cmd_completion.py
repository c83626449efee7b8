"""`reconciler completion`: what a shell must know to finish commands, options and job ids.

Owns: the script for each shell. Never: writes into a person's shell configuration.
"""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print what lets bash, zsh or fish finish your commands.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that lets your shell finish commands, options, files and job ids with the Tab key.

    \b
    Examples:
      reconciler completion bash > ~/.local/share/bash-completion/completions/reconciler
      reconciler completion zsh > ~/.zfunc/_reconciler        # in a folder of $fpath
      reconciler completion fish > ~/.config/fish/completions/reconciler.fish
    """
    of_shell = get_completion_class(shell)
    assert of_shell is not None, "click knows each of SHELLS"
    # The script names the program by which it asks: whatever this process was started as.
    click.echo(of_shell(ctx.find_root().command, {}, "reconciler", "_RECONCILER_COMPLETE").source())
