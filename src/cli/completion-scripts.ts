/** The shells for which there is a script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** What an answer says instead of candidates when the word is a path: the shell knows those better. */
export const PATHS = ":paths";

/** Words go to the program as they are; nothing of an unfinished line is ever evaluated. */
const BASH = `# tidemark completion for bash. Switch it on in this shell:  source <(tidemark completion bash)
_tidemark() {
  local word line cur="" last="" kept=""
  local -a words=() found=()
  # Bash splits words at = and : as well; the program sees them as they were typed.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if [[ \${#words[@]} -gt 0 && ( $word == [=:] || $last == [=:] ) ]]; then words[-1]+=$word; else words+=("$word"); fi
    last=$word
  done
  cur=\${words[-1]}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == ${PATHS} ]]; then
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
      return
    fi
    found+=("\${line%%$'\\t'*}")
  done < <(command tidemark complete -- "\${words[@]}" 2>/dev/null)
  if [[ $cur == *[=:]* ]]; then kept="\${cur%"\${cur##*[=:]}"}"; fi
  for word in "\${found[@]}"; do COMPREPLY+=("\${word#"$kept"}"); done
}
complete -F _tidemark tidemark
`;

const ZSH = `#compdef tidemark
# tidemark completion for zsh. Switch it on in this shell, after compinit:  source <(tidemark completion zsh)
_tidemark() {
  local line value
  local -a found=()
  for line in "\${(@f)$(command tidemark complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] || continue
    if [[ $line == ${PATHS} ]]; then _files; return; fi
    value=\${line%%$'\\t'*}
    found+=("\${value//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe 'tidemark' found
}
compdef _tidemark tidemark
`;

const FISH = `# tidemark completion for fish. Switch it on in this shell:  tidemark completion fish | source
function __tidemark_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    for line in (command tidemark complete -- $words[2..-1] "$word" 2>/dev/null)
        if test "$line" = ${PATHS}
            __fish_complete_path "$word"
        else
            echo $line
        end
    end
end
complete -c tidemark -f -a '(__tidemark_complete)'
`;

/** What a shell reads to complete command lines of this program. */
export function completionScript(shell: Shell): string {
  return { bash: BASH, zsh: ZSH, fish: FISH }[shell];
}
