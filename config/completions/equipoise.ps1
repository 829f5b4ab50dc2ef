
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'equipoise' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'equipoise'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'equipoise' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Runs the balancer in the foreground')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Shows the balancer at work, with backends of its own; nothing else is needed')
            [CompletionResult]::new('reload', 'reload', [CompletionResultType]::ParameterValue, 'Makes a running balancer read its configuration again')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Shows the pools of a running balancer')
            [CompletionResult]::new('top', 'top', [CompletionResultType]::ParameterValue, 'Shows a running balancer live in the terminal, and takes orders there; ? lists the keys')
            [CompletionResult]::new('drain', 'drain', [CompletionResultType]::ParameterValue, 'Sends no new clients to a backend; those that are with it stay, and what runs goes on')
            [CompletionResult]::new('maintenance', 'maintenance', [CompletionResultType]::ParameterValue, 'Sends nothing new at all to a backend, and checks it no more; what runs goes on')
            [CompletionResult]::new('enable', 'enable', [CompletionResultType]::ParameterValue, 'Ends drain or maintenance of a backend')
            [CompletionResult]::new('weight', 'weight', [CompletionResultType]::ParameterValue, 'Gives a backend another weight, until a reload changes what the file says of it')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Tells what would become of a request, or what became of one: its route, its backend, and why')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Reads and checks the configuration without binding anything')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Prints the JSON schema of the configuration (draft 2020-12), for editors')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Prints what makes a shell complete the commands and options')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Prints the man page, in roff')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'equipoise;run' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'equipoise;demo' {
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The port to balance on (default: 8080, or one that is free)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'equipoise;reload' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file that holds the bearer token, as in [admin] token_file')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How the answer is printed')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'equipoise;status' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file that holds the bearer token, as in [admin] token_file')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How the answer is printed')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'equipoise;top' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file that holds the bearer token, as in [admin] token_file')
            [CompletionResult]::new('--interval', '--interval', [CompletionResultType]::ParameterName, 'How often the picture changes: 1s to 60s; the balancer tells what holds once a second, no more often')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'equipoise;drain' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file that holds the bearer token, as in [admin] token_file')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How the answer is printed')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'equipoise;maintenance' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file that holds the bearer token, as in [admin] token_file')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How the answer is printed')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'equipoise;enable' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file that holds the bearer token, as in [admin] token_file')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How the answer is printed')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'equipoise;weight' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file that holds the bearer token, as in [admin] token_file')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How the answer is printed')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'equipoise;explain' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'A file that holds the bearer token, as in [admin] token_file')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How the answer is printed')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Where the request would go: scheme, host, path and query')
            [CompletionResult]::new('--request-id', '--request-id', [CompletionResultType]::ParameterName, 'Instead: what was decided for the request that has ended with this X-Request-Id')
            [CompletionResult]::new('--method', '--method', [CompletionResultType]::ParameterName, 'Its method')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'A field of it; may be given several times')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'The address that it comes from (default: 127.0.0.1)')
            [CompletionResult]::new('--listener', '--listener', [CompletionResultType]::ParameterName, 'The listener that it comes to (default: the one that fits the URL)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'equipoise;check' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'text for people, json for editors and CI')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'equipoise;schema' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'equipoise;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'equipoise;man' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'equipoise;help' {
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Runs the balancer in the foreground')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Shows the balancer at work, with backends of its own; nothing else is needed')
            [CompletionResult]::new('reload', 'reload', [CompletionResultType]::ParameterValue, 'Makes a running balancer read its configuration again')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Shows the pools of a running balancer')
            [CompletionResult]::new('top', 'top', [CompletionResultType]::ParameterValue, 'Shows a running balancer live in the terminal, and takes orders there; ? lists the keys')
            [CompletionResult]::new('drain', 'drain', [CompletionResultType]::ParameterValue, 'Sends no new clients to a backend; those that are with it stay, and what runs goes on')
            [CompletionResult]::new('maintenance', 'maintenance', [CompletionResultType]::ParameterValue, 'Sends nothing new at all to a backend, and checks it no more; what runs goes on')
            [CompletionResult]::new('enable', 'enable', [CompletionResultType]::ParameterValue, 'Ends drain or maintenance of a backend')
            [CompletionResult]::new('weight', 'weight', [CompletionResultType]::ParameterValue, 'Gives a backend another weight, until a reload changes what the file says of it')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Tells what would become of a request, or what became of one: its route, its backend, and why')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Reads and checks the configuration without binding anything')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Prints the JSON schema of the configuration (draft 2020-12), for editors')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Prints what makes a shell complete the commands and options')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Prints the man page, in roff')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'equipoise;help;run' {
            break
        }
        'equipoise;help;demo' {
            break
        }
        'equipoise;help;reload' {
            break
        }
        'equipoise;help;status' {
            break
        }
        'equipoise;help;top' {
            break
        }
        'equipoise;help;drain' {
            break
        }
        'equipoise;help;maintenance' {
            break
        }
        'equipoise;help;enable' {
            break
        }
        'equipoise;help;weight' {
            break
        }
        'equipoise;help;explain' {
            break
        }
        'equipoise;help;check' {
            break
        }
        'equipoise;help;schema' {
            break
        }
        'equipoise;help;completions' {
            break
        }
        'equipoise;help;man' {
            break
        }
        'equipoise;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
