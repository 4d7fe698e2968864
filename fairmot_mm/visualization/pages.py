"""Self-contained HTML pages: Jinja2 templates with Plotly and data in them."""

import json
from pathlib import Path

import numpy as np

from fairmot_mm.formats.writing import write_file

_TEMPLATES = Path(__file__).parent / "templates"


def write_page(path: Path, template: str, data: dict, **values: object) -> None:
    """Write a page that loads nothing from elsewhere.

    Args:
        path: The page.
        template: File in ``templates/``; extends ``page.html``.
        data: What the page's script reads: what JSON holds, and NumPy's numbers.
        **values: What the template reads.

    Raises:
        ModuleNotFoundError: Jinja2 or Plotly is not installed.
        OSError: The page cannot be written.
    """
    try:
        from jinja2 import Environment, FileSystemLoader
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"reports need {error.name}: pip install 'fairmot_mm[report]'"
        ) from error
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True
    )
    text = json.dumps(data, default=_plain, separators=(",", ":"), allow_nan=False)
    page = environment.get_template(template).render(
        plotly=get_plotlyjs(),
        # So that no text in the data can end the script that holds them.
        data=text.replace("<", "\\u003c"),
        **values,
    )
    write_file(path, page.encode())


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in a page")
