# claudy completion for PowerShell, generated from its parser: python -m claudy.cli.shells
#
#   claudy completion powershell | Out-String | Invoke-Expression      (in $PROFILE)

Register-ArgumentCompleter -Native -CommandName claudy -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # Names of the options of each command; a name that takes a value has its kind or its choices.
    $commands = [ordered]@{
        'run' = [ordered]@{ '--docker' = @('guard', 'host', 'none'); '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '--image' = @('<text>'); '--pull' = @('missing', 'always', 'never'); '-e' = @('<text>'); '--env' = @('<text>'); '-v' = @('<file>'); '--volume' = @('<file>'); '-p' = @('<text>'); '--publish' = @('<text>'); '--network' = @('<text>'); '--cpus' = @('<text>'); '--memory' = @('<text>'); '--pids-limit' = @('<text>'); '--read-only' = $null; '--sudo' = $null; '--new' = $null; '--keep' = $null; '--recreate' = $null; '--dry-run' = $null; '-y' = $null; '--yes' = $null; '--no-input' = $null; '-q' = $null; '--quiet' = $null; '--debug' = $null; '--version' = $null; '-h' = $null; '--help' = $null }
        'doctor' = [ordered]@{ '--fix' = $null; '--list-checks' = $null; '--docker' = @('guard', 'host', 'none'); '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '--image' = @('<text>'); '--json' = $null; '-y' = $null; '--yes' = $null; '--no-input' = $null; '-q' = $null; '--quiet' = $null; '--debug' = $null; '-h' = $null; '--help' = $null }
        'build-image' = [ordered]@{ '--no-cache' = $null; '--pull' = $null; '--platform' = @('<text>'); '--build-arg' = @('<text>'); '--tag' = @('<text>'); '--push' = @('<text>'); '--check' = $null; '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '-y' = $null; '--yes' = $null; '--no-input' = $null; '-q' = $null; '--quiet' = $null; '--debug' = $null; '-h' = $null; '--help' = $null }
        'ps' = [ordered]@{ '-a' = $null; '--all' = $null; '--json' = $null; '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '--debug' = $null; '-h' = $null; '--help' = $null }
        'status' = [ordered]@{ '--json' = $null; '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '--debug' = $null; '-h' = $null; '--help' = $null }
        'logs' = [ordered]@{ '-n' = @('<text>'); '--tail' = @('<text>'); '-f' = $null; '--follow' = $null; '--guard' = $null; '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '--debug' = $null; '-h' = $null; '--help' = $null }
        'stats' = [ordered]@{ '--json' = $null; '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '--debug' = $null; '-h' = $null; '--help' = $null }
        'stop' = [ordered]@{ '-t' = @('<text>'); '--time' = @('<text>'); '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '-y' = $null; '--yes' = $null; '--no-input' = $null; '--debug' = $null; '-h' = $null; '--help' = $null }
        'restart' = [ordered]@{ '-t' = @('<text>'); '--time' = @('<text>'); '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '-y' = $null; '--yes' = $null; '--no-input' = $null; '--debug' = $null; '-h' = $null; '--help' = $null }
        'rm' = [ordered]@{ '--volumes' = $null; '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '-y' = $null; '--yes' = $null; '--no-input' = $null; '--debug' = $null; '-h' = $null; '--help' = $null }
        'prune' = [ordered]@{ '--volumes' = $null; '-n' = $null; '--dry-run' = $null; '--json' = $null; '-H' = @('<text>'); '--host' = @('<text>'); '-c' = @('<text>'); '--context' = @('<text>'); '-y' = $null; '--yes' = $null; '--no-input' = $null; '--debug' = $null; '-h' = $null; '--help' = $null }
        'config show' = [ordered]@{ '--json' = $null; '-h' = $null; '--help' = $null }
        'config path' = [ordered]@{ '--project' = $null; '-h' = $null; '--help' = $null }
        'config set' = [ordered]@{ '--project' = $null; '-h' = $null; '--help' = $null }
        'config edit' = [ordered]@{ '--project' = $null; '-h' = $null; '--help' = $null }
        'trust' = [ordered]@{ '--remove' = $null; '-y' = $null; '--yes' = $null; '--no-input' = $null; '-h' = $null; '--help' = $null }
        'completion' = [ordered]@{ '--debug' = $null; '-h' = $null; '--help' = $null }
    }
    $arguments = @{
        'run 0' = @('<directory>')
        'doctor *' = @('place', 'project', 'endpoint', 'connection', 'answer', 'daemon', 'patches', 'files', 'socket-source', 'image', 'registry', 'credentials', 'disk', 'leftovers', 'sandbox', 'user', 'ping', 'tools', 'bind-mount', 'ownership', 'sibling', 'terminal', 'dns', 'proxy', 'disk-inside')
        'status 0' = @('<text>')
        'logs 0' = @('<text>')
        'stats *' = @('<text>')
        'stop *' = @('<text>')
        'restart *' = @('<text>')
        'rm *' = @('<text>')
        'config set 0' = @('docker', 'host', 'context', 'socket_source', 'image', 'pull', 'registry', 'env', 'volumes', 'publish', 'network', 'cpus', 'memory', 'pids_limit', 'read_only', 'sudo', 'keep', 'visibility', 'build_cache', 'budget_memory', 'budget_cpus', 'budget_pids', 'budget_containers', 'budget_ports', 'guard_runs', 'publish_all')
        'config set 1' = @('<text>')
        'trust 0' = @('<directory>')
        'completion 0' = @('bash', 'zsh', 'fish', 'powershell')
    }
    $below = @{
        'config' = @('show', 'path', 'set', 'edit')
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
                $text = if ($path -notmatch '^[\w./\\:~-]+$') {
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
