import type { Command } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** @returns a script for the shell, made from the commands and options that there are */
export function completion(program: Command, shell: Shell): string {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    options: command.options.map((option) => ({
      long: option.long ?? '',
      description: option.description,
      choices: option.argChoices ?? [],
    })),
  }));
  if (shell === 'fish') {
    const lines = commands.flatMap(({ name, description, options }) => [
      `complete -c holdfast -n __fish_use_subcommand -a ${name} -d ${quoted(description)}`,
      ...options.map(({ long, description: text, choices }) => {
        const values = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : '';
        return `complete -c holdfast -n '__fish_seen_subcommand_from ${name}' -l ${long.slice(2)} -d ${quoted(text)}${values}`;
      }),
    ]);
    return `${lines.join('\n')}\n`;
  }
  const cases = commands.map(
    ({ name, options }) => `    ${name}) words='${options.map(({ long }) => long).join(' ')}' ;;`,
  );
  const values = commands.flatMap(({ options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(({ long, choices }) => `    ${long}) words='${choices.join(' ')}' ;;`),
  );
  const head = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : '';
  return `${head}_holdfast() {
  local words='${commands.map(({ name }) => name).join(' ')}' current=\${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -gt 1 ]; then
    case \${COMP_WORDS[1]} in
${cases.join('\n')}
    *) words= ;;
    esac
    case \${COMP_WORDS[COMP_CWORD-1]} in
${[...new Set(values)].join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _holdfast holdfast
`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
