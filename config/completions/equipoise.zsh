#compdef equipoise

autoload -U is-at-least

_equipoise() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_equipoise_commands" \
"*::: :->equipoise" \
&& ret=0
    case $state in
    (equipoise)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:equipoise-command-$line[1]:"
        case $line[1] in
            (run)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(demo)
_arguments "${_arguments_options[@]}" : \
'--port=[The port to balance on (default\: 8080, or one that is free)]:N:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(reload)
_arguments "${_arguments_options[@]}" : \
'--admin=[The admin endpoint of the running balancer\: HOST\:PORT, or http\://HOST\:PORT]:ADDR:_default' \
'--token-file=[A file that holds the bearer token, as in \[admin\] token_file]:FILE:_files' \
'--format=[How the answer is printed]:FORMAT:((text\:"For people"
json\:"For programs"))' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
'--admin=[The admin endpoint of the running balancer\: HOST\:PORT, or http\://HOST\:PORT]:ADDR:_default' \
'--token-file=[A file that holds the bearer token, as in \[admin\] token_file]:FILE:_files' \
'--format=[How the answer is printed]:FORMAT:((text\:"For people"
json\:"For programs"))' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::pool -- Only this pool:_default' \
&& ret=0
;;
(top)
_arguments "${_arguments_options[@]}" : \
'--admin=[The admin endpoint of the running balancer\: HOST\:PORT, or http\://HOST\:PORT]:ADDR:_default' \
'--token-file=[A file that holds the bearer token, as in \[admin\] token_file]:FILE:_files' \
'--interval=[How often the picture changes\: 1s to 60s; the balancer tells what holds once a second, no more often]:DURATION:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(drain)
_arguments "${_arguments_options[@]}" : \
'--admin=[The admin endpoint of the running balancer\: HOST\:PORT, or http\://HOST\:PORT]:ADDR:_default' \
'--token-file=[A file that holds the bearer token, as in \[admin\] token_file]:FILE:_files' \
'--format=[How the answer is printed]:FORMAT:((text\:"For people"
json\:"For programs"))' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':target -- The backend, as `equipoise status` names it:_default' \
&& ret=0
;;
(maintenance)
_arguments "${_arguments_options[@]}" : \
'--admin=[The admin endpoint of the running balancer\: HOST\:PORT, or http\://HOST\:PORT]:ADDR:_default' \
'--token-file=[A file that holds the bearer token, as in \[admin\] token_file]:FILE:_files' \
'--format=[How the answer is printed]:FORMAT:((text\:"For people"
json\:"For programs"))' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':target -- The backend, as `equipoise status` names it:_default' \
&& ret=0
;;
(enable)
_arguments "${_arguments_options[@]}" : \
'--admin=[The admin endpoint of the running balancer\: HOST\:PORT, or http\://HOST\:PORT]:ADDR:_default' \
'--token-file=[A file that holds the bearer token, as in \[admin\] token_file]:FILE:_files' \
'--format=[How the answer is printed]:FORMAT:((text\:"For people"
json\:"For programs"))' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':target -- The backend, as `equipoise status` names it:_default' \
&& ret=0
;;
(weight)
_arguments "${_arguments_options[@]}" : \
'--admin=[The admin endpoint of the running balancer\: HOST\:PORT, or http\://HOST\:PORT]:ADDR:_default' \
'--token-file=[A file that holds the bearer token, as in \[admin\] token_file]:FILE:_files' \
'--format=[How the answer is printed]:FORMAT:((text\:"For people"
json\:"For programs"))' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
':target -- The backend, as `equipoise status` names it:_default' \
':weight -- 0 to 65535; 0\: no new traffic; `file`\: what the configuration says:_default' \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'--admin=[The admin endpoint of the running balancer\: HOST\:PORT, or http\://HOST\:PORT]:ADDR:_default' \
'--token-file=[A file that holds the bearer token, as in \[admin\] token_file]:FILE:_files' \
'--format=[How the answer is printed]:FORMAT:((text\:"For people"
json\:"For programs"))' \
'--url=[Where the request would go\: scheme, host, path and query]:URL:_default' \
'(--url --method --header --from --listener)--request-id=[Instead\: what was decided for the request that has ended with this X-Request-Id]:ID:_default' \
'--method=[Its method]:METHOD:_default' \
'*--header=[A field of it; may be given several times]:NAME: VALUE:_default' \
'--from=[The address that it comes from (default\: 127.0.0.1)]:ADDR:_default' \
'--listener=[The listener that it comes to (default\: the one that fits the URL)]:NAME:_default' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'-c+[The configuration file]:FILE:_files' \
'--config=[The configuration file]:FILE:_files' \
'--format=[text for people, json for editors and CI]:FORMAT:((text\:"For people"
json\:"For tools"))' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(schema)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':shell -- The shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(man)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_equipoise__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:equipoise-help-command-$line[1]:"
        case $line[1] in
            (run)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(demo)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(reload)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(top)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(drain)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(maintenance)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(enable)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(weight)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(schema)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(man)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_equipoise_commands] )) ||
_equipoise_commands() {
    local commands; commands=(
'run:Runs the balancer in the foreground' \
'demo:Shows the balancer at work, with backends of its own; nothing else is needed' \
'reload:Makes a running balancer read its configuration again' \
'status:Shows the pools of a running balancer' \
'top:Shows a running balancer live in the terminal, and takes orders there; ? lists the keys' \
'drain:Sends no new clients to a backend; those that are with it stay, and what runs goes on' \
'maintenance:Sends nothing new at all to a backend, and checks it no more; what runs goes on' \
'enable:Ends drain or maintenance of a backend' \
'weight:Gives a backend another weight, until a reload changes what the file says of it' \
'explain:Tells what would become of a request, or what became of one\: its route, its backend, and why' \
'check:Reads and checks the configuration without binding anything' \
'schema:Prints the JSON schema of the configuration (draft 2020-12), for editors' \
'completions:Prints what makes a shell complete the commands and options' \
'man:Prints the man page, in roff' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'equipoise commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__check_commands] )) ||
_equipoise__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise check commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__completions_commands] )) ||
_equipoise__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise completions commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__demo_commands] )) ||
_equipoise__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise demo commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__drain_commands] )) ||
_equipoise__subcmd__drain_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise drain commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__enable_commands] )) ||
_equipoise__subcmd__enable_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise enable commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__explain_commands] )) ||
_equipoise__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise explain commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help_commands] )) ||
_equipoise__subcmd__help_commands() {
    local commands; commands=(
'run:Runs the balancer in the foreground' \
'demo:Shows the balancer at work, with backends of its own; nothing else is needed' \
'reload:Makes a running balancer read its configuration again' \
'status:Shows the pools of a running balancer' \
'top:Shows a running balancer live in the terminal, and takes orders there; ? lists the keys' \
'drain:Sends no new clients to a backend; those that are with it stay, and what runs goes on' \
'maintenance:Sends nothing new at all to a backend, and checks it no more; what runs goes on' \
'enable:Ends drain or maintenance of a backend' \
'weight:Gives a backend another weight, until a reload changes what the file says of it' \
'explain:Tells what would become of a request, or what became of one\: its route, its backend, and why' \
'check:Reads and checks the configuration without binding anything' \
'schema:Prints the JSON schema of the configuration (draft 2020-12), for editors' \
'completions:Prints what makes a shell complete the commands and options' \
'man:Prints the man page, in roff' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'equipoise help commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__check_commands] )) ||
_equipoise__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help check commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__completions_commands] )) ||
_equipoise__subcmd__help__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help completions commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__demo_commands] )) ||
_equipoise__subcmd__help__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help demo commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__drain_commands] )) ||
_equipoise__subcmd__help__subcmd__drain_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help drain commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__enable_commands] )) ||
_equipoise__subcmd__help__subcmd__enable_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help enable commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__explain_commands] )) ||
_equipoise__subcmd__help__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help explain commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__help_commands] )) ||
_equipoise__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help help commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__maintenance_commands] )) ||
_equipoise__subcmd__help__subcmd__maintenance_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help maintenance commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__man_commands] )) ||
_equipoise__subcmd__help__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help man commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__reload_commands] )) ||
_equipoise__subcmd__help__subcmd__reload_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help reload commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__run_commands] )) ||
_equipoise__subcmd__help__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help run commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__schema_commands] )) ||
_equipoise__subcmd__help__subcmd__schema_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help schema commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__status_commands] )) ||
_equipoise__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help status commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__top_commands] )) ||
_equipoise__subcmd__help__subcmd__top_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help top commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__help__subcmd__weight_commands] )) ||
_equipoise__subcmd__help__subcmd__weight_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise help weight commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__maintenance_commands] )) ||
_equipoise__subcmd__maintenance_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise maintenance commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__man_commands] )) ||
_equipoise__subcmd__man_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise man commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__reload_commands] )) ||
_equipoise__subcmd__reload_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise reload commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__run_commands] )) ||
_equipoise__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise run commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__schema_commands] )) ||
_equipoise__subcmd__schema_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise schema commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__status_commands] )) ||
_equipoise__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise status commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__top_commands] )) ||
_equipoise__subcmd__top_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise top commands' commands "$@"
}
(( $+functions[_equipoise__subcmd__weight_commands] )) ||
_equipoise__subcmd__weight_commands() {
    local commands; commands=()
    _describe -t commands 'equipoise weight commands' commands "$@"
}

if [ "$funcstack[1]" = "_equipoise" ]; then
    _equipoise "$@"
else
    compdef _equipoise equipoise
fi
