# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_equipoise_global_optspecs
    string join \n h/help V/version
end

function __fish_equipoise_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_equipoise_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_equipoise_using_subcommand
    set -l cmd (__fish_equipoise_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c equipoise -n "__fish_equipoise_needs_command" -s h -l help -d 'Print help'
complete -c equipoise -n "__fish_equipoise_needs_command" -s V -l version -d 'Print version'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "run" -d 'Runs the balancer in the foreground'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "demo" -d 'Shows the balancer at work, with backends of its own; nothing else is needed'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "reload" -d 'Makes a running balancer read its configuration again'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "status" -d 'Shows the pools of a running balancer'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "top" -d 'Shows a running balancer live in the terminal, and takes orders there; ? lists the keys'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "drain" -d 'Sends no new clients to a backend; those that are with it stay, and what runs goes on'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "maintenance" -d 'Sends nothing new at all to a backend, and checks it no more; what runs goes on'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "enable" -d 'Ends drain or maintenance of a backend'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "weight" -d 'Gives a backend another weight, until a reload changes what the file says of it'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "explain" -d 'Tells what would become of a request, or what became of one: its route, its backend, and why'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "check" -d 'Reads and checks the configuration without binding anything'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "schema" -d 'Prints the JSON schema of the configuration (draft 2020-12), for editors'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "completions" -d 'Prints what makes a shell complete the commands and options'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "man" -d 'Prints the man page, in roff'
complete -c equipoise -n "__fish_equipoise_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c equipoise -n "__fish_equipoise_using_subcommand run" -s c -l config -d 'The configuration file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand run" -s h -l help -d 'Print help'
complete -c equipoise -n "__fish_equipoise_using_subcommand demo" -l port -d 'The port to balance on (default: 8080, or one that is free)' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand demo" -s h -l help -d 'Print help'
complete -c equipoise -n "__fish_equipoise_using_subcommand reload" -l admin -d 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand reload" -l token-file -d 'A file that holds the bearer token, as in [admin] token_file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand reload" -l format -d 'How the answer is printed' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c equipoise -n "__fish_equipoise_using_subcommand reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c equipoise -n "__fish_equipoise_using_subcommand status" -l admin -d 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand status" -l token-file -d 'A file that holds the bearer token, as in [admin] token_file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand status" -l format -d 'How the answer is printed' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c equipoise -n "__fish_equipoise_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c equipoise -n "__fish_equipoise_using_subcommand top" -l admin -d 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand top" -l token-file -d 'A file that holds the bearer token, as in [admin] token_file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand top" -l interval -d 'How often the picture changes: 1s to 60s; the balancer tells what holds once a second, no more often' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand top" -s h -l help -d 'Print help'
complete -c equipoise -n "__fish_equipoise_using_subcommand drain" -l admin -d 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand drain" -l token-file -d 'A file that holds the bearer token, as in [admin] token_file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand drain" -l format -d 'How the answer is printed' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c equipoise -n "__fish_equipoise_using_subcommand drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c equipoise -n "__fish_equipoise_using_subcommand maintenance" -l admin -d 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand maintenance" -l token-file -d 'A file that holds the bearer token, as in [admin] token_file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand maintenance" -l format -d 'How the answer is printed' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c equipoise -n "__fish_equipoise_using_subcommand maintenance" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c equipoise -n "__fish_equipoise_using_subcommand enable" -l admin -d 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand enable" -l token-file -d 'A file that holds the bearer token, as in [admin] token_file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand enable" -l format -d 'How the answer is printed' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c equipoise -n "__fish_equipoise_using_subcommand enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c equipoise -n "__fish_equipoise_using_subcommand weight" -l admin -d 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand weight" -l token-file -d 'A file that holds the bearer token, as in [admin] token_file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand weight" -l format -d 'How the answer is printed' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c equipoise -n "__fish_equipoise_using_subcommand weight" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l admin -d 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l token-file -d 'A file that holds the bearer token, as in [admin] token_file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l format -d 'How the answer is printed' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l url -d 'Where the request would go: scheme, host, path and query' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l request-id -d 'Instead: what was decided for the request that has ended with this X-Request-Id' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l method -d 'Its method' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l header -d 'A field of it; may be given several times' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l from -d 'The address that it comes from (default: 127.0.0.1)' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -l listener -d 'The listener that it comes to (default: the one that fits the URL)' -r
complete -c equipoise -n "__fish_equipoise_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c equipoise -n "__fish_equipoise_using_subcommand check" -s c -l config -d 'The configuration file' -r -F
complete -c equipoise -n "__fish_equipoise_using_subcommand check" -l format -d 'text for people, json for editors and CI' -r -f -a "text\t'For people'
json\t'For tools'"
complete -c equipoise -n "__fish_equipoise_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c equipoise -n "__fish_equipoise_using_subcommand schema" -s h -l help -d 'Print help'
complete -c equipoise -n "__fish_equipoise_using_subcommand completions" -s h -l help -d 'Print help'
complete -c equipoise -n "__fish_equipoise_using_subcommand man" -s h -l help -d 'Print help'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "run" -d 'Runs the balancer in the foreground'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "demo" -d 'Shows the balancer at work, with backends of its own; nothing else is needed'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "reload" -d 'Makes a running balancer read its configuration again'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "status" -d 'Shows the pools of a running balancer'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "top" -d 'Shows a running balancer live in the terminal, and takes orders there; ? lists the keys'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "drain" -d 'Sends no new clients to a backend; those that are with it stay, and what runs goes on'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "maintenance" -d 'Sends nothing new at all to a backend, and checks it no more; what runs goes on'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "enable" -d 'Ends drain or maintenance of a backend'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "weight" -d 'Gives a backend another weight, until a reload changes what the file says of it'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "explain" -d 'Tells what would become of a request, or what became of one: its route, its backend, and why'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "check" -d 'Reads and checks the configuration without binding anything'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "schema" -d 'Prints the JSON schema of the configuration (draft 2020-12), for editors'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "completions" -d 'Prints what makes a shell complete the commands and options'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "man" -d 'Prints the man page, in roff'
complete -c equipoise -n "__fish_equipoise_using_subcommand help; and not __fish_seen_subcommand_from run demo reload status top drain maintenance enable weight explain check schema completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
