
use builtin;
use str;

set edit:completion:arg-completer[equipoise] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'equipoise'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'equipoise'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Runs the balancer in the foreground'
            cand demo 'Shows the balancer at work, with backends of its own; nothing else is needed'
            cand reload 'Makes a running balancer read its configuration again'
            cand status 'Shows the pools of a running balancer'
            cand top 'Shows a running balancer live in the terminal, and takes orders there; ? lists the keys'
            cand drain 'Sends no new clients to a backend; those that are with it stay, and what runs goes on'
            cand maintenance 'Sends nothing new at all to a backend, and checks it no more; what runs goes on'
            cand enable 'Ends drain or maintenance of a backend'
            cand weight 'Gives a backend another weight, until a reload changes what the file says of it'
            cand explain 'Tells what would become of a request, or what became of one: its route, its backend, and why'
            cand check 'Reads and checks the configuration without binding anything'
            cand schema 'Prints the JSON schema of the configuration (draft 2020-12), for editors'
            cand completions 'Prints what makes a shell complete the commands and options'
            cand man 'Prints the man page, in roff'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'equipoise;run'= {
            cand -c 'The configuration file'
            cand --config 'The configuration file'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'equipoise;demo'= {
            cand --port 'The port to balance on (default: 8080, or one that is free)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'equipoise;reload'= {
            cand --admin 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT'
            cand --token-file 'A file that holds the bearer token, as in [admin] token_file'
            cand --format 'How the answer is printed'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'equipoise;status'= {
            cand --admin 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT'
            cand --token-file 'A file that holds the bearer token, as in [admin] token_file'
            cand --format 'How the answer is printed'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'equipoise;top'= {
            cand --admin 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT'
            cand --token-file 'A file that holds the bearer token, as in [admin] token_file'
            cand --interval 'How often the picture changes: 1s to 60s; the balancer tells what holds once a second, no more often'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'equipoise;drain'= {
            cand --admin 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT'
            cand --token-file 'A file that holds the bearer token, as in [admin] token_file'
            cand --format 'How the answer is printed'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'equipoise;maintenance'= {
            cand --admin 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT'
            cand --token-file 'A file that holds the bearer token, as in [admin] token_file'
            cand --format 'How the answer is printed'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'equipoise;enable'= {
            cand --admin 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT'
            cand --token-file 'A file that holds the bearer token, as in [admin] token_file'
            cand --format 'How the answer is printed'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'equipoise;weight'= {
            cand --admin 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT'
            cand --token-file 'A file that holds the bearer token, as in [admin] token_file'
            cand --format 'How the answer is printed'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'equipoise;explain'= {
            cand --admin 'The admin endpoint of the running balancer: HOST:PORT, or http://HOST:PORT'
            cand --token-file 'A file that holds the bearer token, as in [admin] token_file'
            cand --format 'How the answer is printed'
            cand --url 'Where the request would go: scheme, host, path and query'
            cand --request-id 'Instead: what was decided for the request that has ended with this X-Request-Id'
            cand --method 'Its method'
            cand --header 'A field of it; may be given several times'
            cand --from 'The address that it comes from (default: 127.0.0.1)'
            cand --listener 'The listener that it comes to (default: the one that fits the URL)'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'equipoise;check'= {
            cand -c 'The configuration file'
            cand --config 'The configuration file'
            cand --format 'text for people, json for editors and CI'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'equipoise;schema'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'equipoise;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'equipoise;man'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'equipoise;help'= {
            cand run 'Runs the balancer in the foreground'
            cand demo 'Shows the balancer at work, with backends of its own; nothing else is needed'
            cand reload 'Makes a running balancer read its configuration again'
            cand status 'Shows the pools of a running balancer'
            cand top 'Shows a running balancer live in the terminal, and takes orders there; ? lists the keys'
            cand drain 'Sends no new clients to a backend; those that are with it stay, and what runs goes on'
            cand maintenance 'Sends nothing new at all to a backend, and checks it no more; what runs goes on'
            cand enable 'Ends drain or maintenance of a backend'
            cand weight 'Gives a backend another weight, until a reload changes what the file says of it'
            cand explain 'Tells what would become of a request, or what became of one: its route, its backend, and why'
            cand check 'Reads and checks the configuration without binding anything'
            cand schema 'Prints the JSON schema of the configuration (draft 2020-12), for editors'
            cand completions 'Prints what makes a shell complete the commands and options'
            cand man 'Prints the man page, in roff'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'equipoise;help;run'= {
        }
        &'equipoise;help;demo'= {
        }
        &'equipoise;help;reload'= {
        }
        &'equipoise;help;status'= {
        }
        &'equipoise;help;top'= {
        }
        &'equipoise;help;drain'= {
        }
        &'equipoise;help;maintenance'= {
        }
        &'equipoise;help;enable'= {
        }
        &'equipoise;help;weight'= {
        }
        &'equipoise;help;explain'= {
        }
        &'equipoise;help;check'= {
        }
        &'equipoise;help;schema'= {
        }
        &'equipoise;help;completions'= {
        }
        &'equipoise;help;man'= {
        }
        &'equipoise;help;help'= {
        }
    ]
    $completions[$command]
}
