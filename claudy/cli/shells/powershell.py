"""The completion script for PowerShell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claudy.cli.shells.words import CHOICE, DIRECTORY, FILE, NOTHING, flatten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from claudy.cli.shells.words import Value, Words

_SCRIPT = """\
# claudy completion for PowerShell, generated from its parser: python -m claudy.cli.shells
#
#   claudy completion powershell | Out-String | Invoke-Expression      (in $PROFILE)

Register-ArgumentCompleter -Native -CommandName claudy -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # Names of the options of each command; a name that takes a value has its kind or its choices.
    $commands = [ordered]@{
@COMMANDS@
    }
    $arguments = @{
@ARGUMENTS@
    }
    $below = @{
@BELOW@
    }

    $at = ''
    $count = 0
    $value = $null
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $word = $element.ToString()
        $options = $commands[$(if ($at) { $at } else { 'run' })]
        if ($null -ne $value) {
            $value = $null
        } elseif ($word -eq '--') {
            return
        } elseif ($word.StartsWith('-')) {
            if ($options -and $options[$word]) { $value = $options[$word] }
        } elseif (-not $at) {
            if ($commands.Contains($word) -or $below.ContainsKey($word)) { $at = $word }
            else { $at = 'run'; $count = 1 }
        } elseif ($below[$at] -contains $word) {
            $at = "$at $word"
        } else {
            $count++
        }
    }
    $options = $commands[$(if ($at) { $at } else { 'run' })]
    if ($null -ne $value) { $found = $value }
    elseif ($wordToComplete.StartsWith('-')) { $found = if ($options) { $options.Keys } }
    elseif (-not $at) {
        $found = @($commands.Keys | ForEach-Object { $_.Split(' ')[0] } | Select-Object -Unique)
        $found += '<directory>'
    }
    elseif ($below.ContainsKey($at)) { $found = $below[$at] }
    else { $found = $arguments["$at $count"]; if (-not $found) { $found = $arguments["$at *"] } }

    foreach ($one in $found) {
        if ($one -eq '<directory>' -or $one -eq '<file>') {
            Get-ChildItem -Path "$wordToComplete*" -Directory:($one -eq '<directory>') -Name `
                -ErrorAction SilentlyContinue | ForEach-Object {
                $parent = Split-Path -Path $wordToComplete -Parent -ErrorAction SilentlyContinue
                $path = if ($parent) { Join-Path $parent $_ } else { $_ }
                $text = if ($path -notmatch '^[\\w./\\\\:~-]+$') {
                    "'" + $path.Replace("'", "''") + "'"
                } else { $path }
                [System.Management.Automation.CompletionResult]::new(
                    $text, $_, 'ProviderItem', $_)
            }
        } elseif ($one -ne '<text>' -and $one -like "$wordToComplete*") {
            [System.Management.Automation.CompletionResult]::new(
                $one, $one, 'ParameterValue', $one)
        }
    }
}
"""


def powershell_script(commands: Sequence[Words]) -> str:
    """Return the script.

    Args:
        commands: all commands; the options of `run` also stand without a command.
    """
    flat = flatten(commands)
    options = (
        f"        '{path}' = [ordered]@{{ "
        + "; ".join(
            f"'{name}' = {_value(flag.value)}" for flag in words.flags for name in flag.names
        )
        + " }"
        for path, words in flat
    )
    arguments = (
        f"        '{path} {'*' if value.many else at}' = {_value(value)}"
        for path, words in flat
        for at, value in enumerate(words.arguments)
    )
    below = (
        f"        '{words.name}' = {_list(one.name for one in words.commands)}"
        for words in commands
        if words.commands
    )
    return (
        _SCRIPT.replace("@COMMANDS@", "\n".join(options))
        .replace("@ARGUMENTS@", "\n".join(arguments))
        .replace("@BELOW@", "\n".join(below))
    )


def _value(value: Value) -> str:
    if value.kind == NOTHING:
        return "$null"
    if value.kind == CHOICE:
        return _list(value.choices)
    return {DIRECTORY: "@('<directory>')", FILE: "@('<file>')"}.get(value.kind, "@('<text>')")


def _list(words: Iterable[str]) -> str:
    quoted = (f"'{word}'" for word in words)
    return f"@({', '.join(quoted)})"
