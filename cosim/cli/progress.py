"""The bar that commands of several parts show on standard error."""

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cosim.cli.app import console


def parts_bar() -> Progress:
    """Return a bar that tells the part in work, how many are done, and the time gone by."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
