"""Completion for shells, from the table of verbs: nothing is asked of a node while a person types."""

from watchkeeper.surface.cli.place import Ends, Exit
from watchkeeper.surface.cli.verbs import subs, tops
from watchkeeper.surface.cli.words import say

EVERYWHERE = ("--home", "--url", "--utc", "--no-color", "--help")


def completion(shell: str, /) -> int:
    """Print the completion script of a shell: eval "$(wk completion bash)".

    Parameters
    ----------
    shell
        bash, zsh or fish.
    """
    scripts = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    if shell not in scripts:
        raise Ends(Exit.USAGE, f"no completion for {shell!r}: bash, zsh or fish")
    say(scripts[shell]().rstrip())
    return Exit.DONE


def _below() -> dict[str, str]:
    return {
        each.words[0]: " ".join(sub.words[1] for sub in subs(each.words[0])) for each in tops() if subs(each.words[0])
    }


def _bash() -> str:
    verbs = " ".join(each.words[0] for each in tops())
    cases = "\n".join(f'    {verb}) words="{below}" ;;' for verb, below in _below().items())
    return f"""\
_wk() {{
  local words="" current="${{COMP_WORDS[COMP_CWORD]}}"
  if [[ $current == -* ]]; then
    words="{" ".join(EVERYWHERE)} --json --limit"
  elif [[ $COMP_CWORD -eq 1 ]]; then
    words="{verbs}"
  elif [[ $COMP_CWORD -eq 2 ]]; then
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _wk wk watchkeeper
"""


def _zsh() -> str:
    verbs = "\n".join(f"    '{each.words[0]}:{_quoted(each.help)}'" for each in tops())
    cases = "\n".join(f"      {verb}) compadd {below} ;;" for verb, below in _below().items())
    return f"""\
#compdef wk watchkeeper
_wk() {{
  local -a verbs=(
{verbs}
  )
  if (( CURRENT == 2 )); then
    _describe verb verbs
  elif (( CURRENT == 3 )); then
    case "$words[2]" in
{cases}
      *) _files ;;
    esac
  else
    _files
  fi
}}
compdef _wk wk watchkeeper
"""


def _fish() -> str:
    lines = []
    for name in ("wk", "watchkeeper"):
        lines.append(f"complete -c {name} -f")
        lines += [
            f"complete -c {name} -n __fish_use_subcommand -a {each.words[0]} -d '{_quoted(each.help)}'"
            for each in tops()
        ]
        for each in tops():
            lines += [
                f"complete -c {name} -n '__fish_seen_subcommand_from {each.words[0]}' -a {sub.words[1]} -d '{_quoted(sub.help)}'"
                for sub in subs(each.words[0])
            ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return text.replace("'", "").replace(":", ";")
