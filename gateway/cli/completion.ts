import type { Command } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface CommandWords {
  /** As in `rules diff`. */
  readonly path: string;
  readonly description: string;
  /** What may follow: names of its commands, or its options. */
  readonly words: readonly string[];
  readonly options: readonly {
    readonly long: string;
    readonly description: string;
    readonly choices: readonly string[];
  }[];
}

/** The commands of the program, and theirs. */
function commandsOf(command: Command, path: readonly string[] = []): CommandWords[] {
  const inner = command.commands.flatMap((one) => commandsOf(one, [...path, one.name()]));
  if (path.length === 0) return inner;
  const options = command.options.map((option) => ({
    long: option.long ?? '',
    description: option.description,
    choices: option.argChoices ?? [],
  }));
  const names = command.commands.map((one) => one.name());
  const words = names.length > 0 ? names : options.map(({ long }) => long);
  return [{ path: path.join(' '), description: command.description(), words, options }, ...inner];
}

/** @returns a script for the shell, made from the commands and options that there are */
export function completion(program: Command, shell: Shell): string {
  const commands = commandsOf(program);
  return shell === 'fish' ? forFish(commands) : forBash(program, commands, shell);
}

function forFish(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap(({ path, description, options }) => {
    const [name, parent] = path.split(' ').reverse();
    const where = parent === undefined ? '__fish_use_subcommand' : quoted(`__fish_seen_subcommand_from ${parent}`);
    return [
      `complete -c holdfast -n ${where} -a ${name} -d ${quoted(description)}`,
      ...options.map(({ long, description: text, choices }) => {
        const values = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : '';
        return `complete -c holdfast -n '__fish_seen_subcommand_from ${name}' -l ${long.slice(2)} -d ${quoted(text)}${values}`;
      }),
    ];
  });
  return `${lines.join('\n')}\n`;
}

function forBash(program: Command, commands: readonly CommandWords[], shell: Shell): string {
  const inner = commands.filter(({ path }) => path.includes(' '));
  const groups = new Set(inner.map(({ path }) => path.split(' ')[0]!));
  const cases = commands.map(
    ({ path, words }) => `    ${path.includes(' ') ? quoted(path) : path}) words='${words.join(' ')}' ;;`,
  );
  const values = commands.flatMap(({ options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(({ long, choices }) => `    ${long}) words='${choices.join(' ')}' ;;`),
  );
  const head = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : '';
  return `${head}_holdfast() {
  local words='${program.commands.map((one) => one.name()).join(' ')}' current=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]}
  case $command in
    ${[...groups].join('|')}) [ "$COMP_CWORD" -gt 2 ] && command="$command \${COMP_WORDS[2]}" ;;
  esac
  if [ "$COMP_CWORD" -gt 1 ]; then
    case $command in
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
