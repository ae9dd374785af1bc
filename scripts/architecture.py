#!/usr/bin/env python3
"""Checks the doors of ARCHITECTURE.md and that no files import each other in a circle.

    scripts/architecture.py [--graph]

Reads every Rust file of the workspace as text: `use` declarations, paths that begin with `crate`,
`self`, `super` or the name of a crate, and paths through a file's own modules. A name that a module
passes on counts as that module's, so a child that takes its sibling through their parent is found.
Declaring a module (`mod name;`) is no import. Prints what breaks a rule, and with --graph every
import between files; exit 1 when a rule is broken.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Of each crate: its root file, and the crates of the workspace that it may import.
CRATES = {
    "detections": ("crates/detections/src/lib.rs", set()),
    "intake": ("crates/intake/src/lib.rs", set()),
    "maskrcnn": ("crates/maskrcnn/src/lib.rs", {"detections"}),
    "maskrcnn_dapp": ("src/lib.rs", {"detections", "intake", "maskrcnn"}),
}

# Inside crates: the first module may import of the others that are listed only these. Modules that
# are not listed are plain data, which everybody may import.
DOORS = {
    "maskrcnn": {
        "checkpoint": set(),
        "blueprint": set(),
        "ops": set(),
        "runtime": set(),
        "nn": {"checkpoint", "blueprint"},
        "family": {"checkpoint", "blueprint"},
        # From a file to tensors, blueprint and classes: what a detector is made of.
        "weights": {"checkpoint", "blueprint", "family"},
        "detector": {"nn", "ops", "blueprint", "weights", "runtime"},
        # What a network is made of beside what a file has.
        "fit": {"checkpoint", "blueprint", "family", "weights", "detector"},
    },
    "intake": {"decode": set(), "fetch": set()},
    "maskrcnn_dapp": {
        "errors": set(),
        "environment": set(),
        "verbosity": set(),
        "cli": {"verbosity"},
        "options": {"cli", "verbosity", "weights"},
        "weights": {"cli", "errors", "terminal"},
        "output": {"errors"},
        "signals": {"errors", "output"},
        "terminal": {"errors", "verbosity"},
        "run": {"errors", "options", "output", "terminal", "weights"},
        "iexec": {"cli", "environment", "errors", "options", "output", "run", "signals", "terminal",
                  "verbosity", "weights"},
    },
}

# Crates that stand nowhere but in these folders or files.
ALONE = {
    "tch": ["crates/maskrcnn/src/nn", "crates/maskrcnn/src/detector", "crates/maskrcnn/src/runtime"],
    "clap": ["src/cli.rs", "src/cli", "src/iexec", "src/main.rs", "src/options.rs", "src/lib.rs"],
    "indicatif": ["src/terminal.rs"],
    "ureq": ["crates/intake/src/fetch"],
}


def code_of(path):
    """The text of a file without comments and without what stands in string literals."""
    text = re.sub(r"\bpub\s*\(in [\w:]+\)", "pub", path.read_text())
    pattern = r'//[^\n]*|/\*.*?\*/|r#".*?"#|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\''
    return re.sub(pattern, lambda match: '""' if match[0][0] in "\"r" else " ", text, flags=re.S)


class Crate:
    """The module tree of a crate: module path to file, and the path of each file."""

    def __init__(self, name, root):
        self.name, self.files, self.modules = name, {}, {}
        self._add((), ROOT / root)

    def _add(self, path, file):
        self.modules[path], self.files[file] = file, path
        folder = file.parent if file.name in ("lib.rs", "main.rs", "mod.rs") else file.with_suffix("")
        for name in re.findall(r"\bmod\s+(\w+)\s*;", code_of(file)):
            for child in (folder / f"{name}.rs", folder / name / "mod.rs"):
                if child.exists():
                    self._add((*path, name), child)

    def resolve(self, path):
        """The file that a path of names leads to: that of the last module on the way."""
        module = ()
        for name in path:
            if (*module, name) not in self.modules:
                break
            module = (*module, name)
        return self.modules[module]


def flatten(tree):
    """The paths of a use tree, such as `a::{b, c::{self, d}}`."""
    tree = tree.strip()
    if "{" not in tree:
        return [tree.split(" as ")[0].strip()]
    prefix, rest = tree.split("{", 1)
    rest, paths, depth, start = rest[: rest.rindex("}")], [], 0, 0
    for at, character in enumerate(rest + ","):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            if rest[start:at].strip():
                paths += [prefix.strip() + path for path in flatten(rest[start:at])]
            start = at + 1
    return paths


def imports(crates, crate, file):
    """(the other crate's name or None, the file, the names) of everything that a file imports."""
    text = code_of(file)
    here = crate.files[file]
    # Paths from inside a nested `mod tests { … }` have one `super` more.
    nested = re.compile(r"\bmod\s+\w+\s*\{")
    inner_from = min((match.start() for match in nested.finditer(text)), default=len(text))
    found = [(match.start(), path) for match in re.finditer(r"\buse\s+([^;]+);", text)
             for path in flatten(match[1])]
    found += [(match.start(), match[0]) for match in re.finditer(
        r"\b(?:crate|super|self|" + "|".join(crates) + r")(?:\s*::\s*\w+)+", text)]
    children = [path[-1] for path in crate.modules if path[:-1] == here and path]
    for child in children:
        found += [(match.start(), f"self::{child}") for match in
                  re.finditer(rf"(?<![\w:]){child}\s*::", text)]
    for at, path in found:
        names = [name.strip() for name in path.split("::")]
        names = [name for name in names if name]
        module, is_inner = list(here), at > inner_from
        if names[0] in crates and names[0] != crate.name and names[0] not in children:
            other = crates[names[0]]
            yield names[0], other.resolve(names[1:]), names
            continue
        if names[0] == "crate":
            names, module = names[1:], []
        elif names[0] in ("self", "super"):
            while names and names[0] in ("self", "super"):
                if names[0] == "super" and is_inner:
                    is_inner = False
                elif names[0] == "super":
                    module = module[:-1]
                names = names[1:]
        elif (*here, names[0]) not in crate.modules:
            continue
        yield None, crate.resolve([*module, *names]), names


def circles(graph):
    """The strongly connected parts of more than one file (Tarjan, "Depth-first search", 1972)."""
    index, low, stack, result = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = []
            while not part or part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                result.append(sorted(part))

    sys.setrecursionlimit(10_000)
    for node in sorted(graph):
        if node not in index:
            visit(node)
    return result


def main():
    crates = {name: Crate(name, root) for name, (root, _) in CRATES.items()}
    broken, graph = [], {}
    shown = lambda file: str(file.relative_to(ROOT))
    for name, crate in crates.items():
        for file, path in crate.files.items():
            for other, target, names in imports(crates, crate, file):
                if other is not None:
                    if other not in CRATES[name][1]:
                        broken.append(f"{shown(file)} imports {other}, for which {name} has no door")
                    continue
                if target == file:
                    continue
                graph.setdefault(shown(file), set()).add(shown(target))
                doors = DOORS.get(name, {})
                there = crate.files[target]
                if path and there and path[0] != there[0] and path[0] in doors and there[0] in doors:
                    if there[0] not in doors[path[0]]:
                        broken.append(f"{shown(file)} imports {'::'.join(names)}: "
                                      f"no door leads from {path[0]} to {there[0]}")
            text = code_of(file)
            for library, places in ALONE.items():
                if re.search(rf"\b{library}\s*::", text):
                    if not any(shown(file) == place or shown(file).startswith(place + "/")
                               for place in places):
                        broken.append(f"{shown(file)} uses {library}, "
                                      f"which stands nowhere but in {', '.join(places)}")
    for part in circles(graph):
        members = set(part)
        arrows = [f"  {a} -> {b}" for a in part for b in sorted(graph[a] & members)]
        broken.append("files import each other in a circle:\n" + "\n".join(arrows))
    for file in sorted(ROOT.glob("**/*.rs")):
        parts = file.relative_to(ROOT).parts
        if "target" in parts or parts[0].startswith("."):
            continue
        includes = re.findall(r"#\[path = \"([^\"]*)\"\]", file.read_text())
        if any("common/" not in path for path in includes):
            broken.append(f"{shown(file)} includes a file by #[path]; only test helpers may")
    if "--graph" in sys.argv:
        for file in sorted(graph):
            print(file, "->", ", ".join(sorted(graph[file])))
    if broken:
        print("\n".join(dict.fromkeys(broken)))
        sys.exit(1)
    print(f"{sum(len(crate.files) for crate in crates.values())} files of {len(crates)} crates: "
          "the doors are as drawn, and nothing goes in a circle")


main()
