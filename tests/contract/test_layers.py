"""Imports point one way, and only the command line prints."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "claudy"
# What each part may import besides itself; errors and record are leaves.
LEAVES = {"errors", "record", "digest", "__init__"}
MAY = {
    "errors": set(),
    "record": set(),
    "digest": set(),
    "__init__": set(),
    "host": LEAVES | {"engine"},
    "engine": LEAVES | {"host"},
    "settings": LEAVES | {"host"},
    "image": LEAVES | {"host", "engine", "settings"},
    "guard": LEAVES | {"host", "engine"},
    "sandbox": LEAVES | {"host", "engine", "settings", "image"},
    "containers": LEAVES | {"host", "engine", "settings", "image", "sandbox"},
    "doctor": LEAVES | {"host", "engine", "settings", "image", "sandbox", "containers", "guard"},
}
PRINTING = ("print", "sys.stdout.write", "sys.stderr.write", "typer.echo", "click.echo")
# The entry points of processes of their own, and the one result that needs no renderer.
MAY_PRINT = {"__main__.py", "guard/__main__.py", "guard/policy/table.py"}


def parts() -> list[tuple[str, str, ast.Module]]:
    """Return every module's path, the part it belongs to, and its tree."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        found.append((name, name.split("/")[0].removesuffix(".py"), ast.parse(path.read_text())))
    return found


def type_checking_only(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes that only type checkers see."""
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            hidden |= {below for one in node.body for below in ast.walk(one)}
    return hidden


def imported(tree: ast.Module) -> set[str]:
    """Return the parts of claudy that a module imports when it runs."""
    hidden = type_checking_only(tree)
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            assert node.module
            names |= {f"claudy.{a.name}" for a in node.names} if node.module == "claudy" else {
                node.module
            }  # fmt: skip
    found = {name.split(".")[1] for name in names if name.startswith("claudy.")}
    return {"__init__" if name == "__version__" else name for name in found}


def test_imports_point_one_way() -> None:
    wrong = [
        f"{name} imports claudy.{other}"
        for name, part, tree in parts()
        if part not in ("cli", "__main__")
        for other in sorted(imported(tree) - MAY[part] - {part})
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_the_command_line() -> None:
    assert all("cli" not in allowed for allowed in MAY.values())


NO_SOCKETS = {"asyncio", "h11", "h2", "http", "select", "selectors", "socket", "ssl", "urllib"}
# What the guard's policy may import of the guard; the relay and the splicing: nothing.
OF_THE_POLICY = ("policy", "refusal", "strictjson")
POLICY = ("guard/policy/", "guard/buildkit/policy.py")
RELAY = ("guard/relay.py", "guard/splice.py")


def test_the_guards_policy_knows_no_sockets_and_its_relay_no_policy() -> None:
    wrong = []
    seen = set()
    for name, _, tree in parts():
        if not name.startswith((*POLICY, *RELAY)):
            continue
        seen.add(next(start for start in (*POLICY, *RELAY) if name.startswith(start)))
        hidden = type_checking_only(tree)
        for node in ast.walk(tree):
            if node in hidden or not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            module = getattr(node, "module", None)
            for found in [module] if module else [alias.name for alias in node.names]:
                if not found.startswith("claudy."):
                    bad = name.startswith(POLICY) and found.partition(".")[0] in NO_SOCKETS
                elif name.startswith(RELAY):
                    bad = found != "claudy.guard.daemon"  # its own error alone
                else:
                    below = found.removeprefix("claudy.guard.").removeprefix("buildkit.")
                    bad = below.partition(".")[0] not in (*OF_THE_POLICY, "wire", "claudy")
                if bad:
                    wrong.append(f"{name}:{node.lineno} {found}")
    assert seen == {*POLICY, *RELAY}
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_prints() -> None:
    wrong = []
    for name, part, tree in parts():
        if part == "cli" or name in MAY_PRINT:
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            call = ast.unparse(node.func)
            if call in (
                "print",
                "sys.stdout.write",
                "sys.stderr.write",
                "typer.echo",
                "click.echo",
            ):
                wrong.append(f"{name}:{node.lineno} {call}")
    assert not wrong, "\n".join(wrong)


def test_every_module_and_public_function_says_what_it_is() -> None:
    for name, _, tree in parts():
        assert ast.get_docstring(tree), name


def test_the_guards_image_has_all_that_the_guard_imports() -> None:
    from claudy.image.guardimage import _MODULES

    needed: set[str] = set()
    looked = [name for name, part, _ in parts() if part == "guard"]
    trees = {name: tree for name, _, tree in parts()}
    while looked:
        name = looked.pop()
        # What else asks for more only where it is called, the guard does not call.
        for module in modules(trees[name], deep=name.startswith("guard/")):
            if not module.startswith("guard/") and module not in needed:
                needed.add(module)
                looked.append(module)
    assert needed
    assert not needed - set(_MODULES)


def modules(tree: ast.Module, *, deep: bool) -> set[str]:
    """Return the files of claudy that a module imports: when it is called, too, or at first."""
    hidden = type_checking_only(tree)
    nodes = [node for node in (ast.walk(tree) if deep else tree.body) if node not in hidden]
    names = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}
    names |= {
        f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names
    }
    names |= {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    files = {name.removeprefix("claudy.").replace(".", "/") for name in names if "claudy." in name}
    return {
        file
        for name in files
        for file in (f"{name}.py", f"{name}/__init__.py")
        if (PACKAGE / file).is_file()
    }
