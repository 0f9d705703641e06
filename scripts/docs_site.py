"""A hook of mkdocs: pages that stand beside the code they describe become pages of the site, too.

docs/ links to READMEs, figures and examples elsewhere in the repository, as a reader on a code host expects. mkdocs knows
files of docs/ alone. Here every file that a page links to joins the site, pages among them are followed in turn, and links
are rewritten from places in the repository to places in the site.
"""

# mkdocs is in the extra `docs` alone
# pyright: reportMissingImports=false
from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")
"""The target of a Markdown link or image, without its anchor."""


def on_files(files: Files, *, config: Any) -> Files:
    """Add what pages link to, from docs/ outwards."""
    waiting = [f"docs/{file.src_uri}" for file in files if file.is_documentation_page()]
    while waiting:
        page = waiting.pop()
        for target in map(str, _targets(page)):
            if target.startswith("docs/") or files.get_file_from_path(_in_site(target)):
                continue
            files.append(File.generated(config, _in_site(target), abs_src_path=str(ROOT / target)))
            if target.endswith(".md"):
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Links of a page as mkdocs reads them: relative to the page's place in the site."""
    here = _in_repository(page.file.src_uri)

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), match[2]))
        if ":" in match[2] or not (ROOT / target).is_file():
            return match[0]
        return match[1] + posixpath.relpath(_in_site(target), posixpath.dirname(page.file.src_uri) or ".") + match[3]

    return LINK.sub(rewritten, markdown)


def _targets(page: str) -> list[str]:
    """The files of the repository that a page links to."""
    links = (match[2] for match in LINK.finditer((ROOT / page).read_text()) if ":" not in match[2])
    targets = (os.path.normpath(os.path.join(os.path.dirname(page), link)) for link in links)
    return [target for target in targets if (ROOT / target).is_file()]


def _in_site(path: str) -> str:
    """The site's name of a file of the repository; its README.md is no index, docs/index.md is."""
    return "readme.md" if path == "README.md" else path.removeprefix("docs/")


def _in_repository(src_uri: str) -> str:
    if src_uri == "readme.md":
        return "README.md"
    return f"docs/{src_uri}" if (ROOT / "docs" / src_uri).is_file() else src_uri
