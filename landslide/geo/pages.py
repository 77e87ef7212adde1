"""Pages from templates, with their pictures inside, so that they need no other file."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_template(room: str, template: str, *, escape: bool = True, **facts: object) -> str:
    """Fill in a template.

    Args:
        room: Package whose folder ``templates`` holds it, such as ``landslide.products``.
        template: Its file.
        escape: Whether facts are text, in which markup is escaped.
        facts: Values by name; one that the template needs and that is missing is an error.
    """
    environment = Environment(
        loader=PackageLoader(room),
        autoescape=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(facts)


def embed_png(png: bytes) -> str:
    """Address of a picture that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
