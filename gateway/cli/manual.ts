import type { Command, Help } from 'commander';

const NAME = 'holdfast';

/** What no command's help says, in roff. */
const EXIT_STATUS: readonly (readonly [string, string])[] = [
  ['0', 'ok.'],
  ['1', 'The answer is no: invalid rules, a damaged capture, a refused request, a machine that lacks something.'],
  ['2', 'Wrong usage or bad input. One line on standard error says what is wrong, where, and what was expected.'],
];
const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['HOLDFAST_CONTROL', "The host interface's unix socket, where --control does not name it."],
  ['NO_COLOR', 'No colours, if it is not empty.'],
  ['VISUAL, EDITOR', "The editor of 'rules edit'."],
];
const FILES: readonly (readonly [string, string])[] = [
  ['/etc/holdfast/holdfast.yaml', 'The configuration that the systemd unit runs the gateway with.'],
  ['/run/holdfast/control', "The host interface's unix socket, where the gateway is root's."],
  ['/run/holdfast/control.state', 'Terms, epochs, and held frames of file-backed transmit buffers.'],
  ['/run/holdfast/bridge', "Journals of 'bridge attach', by which 'bridge detach' undoes it."],
];

/**
 * holdfast(1) in roff (man(7)), made from what `--help` says: every command with its arguments, options and examples. Both groff and
 * mandoc read it. It names no date, so that equal programs have equal pages.
 */
export function manual(program: Command, version: string): string {
  const help = program.createHelp();
  const parts = [
    `.TH ${NAME.toUpperCase()} 1 "" "${NAME} ${version}" "User Commands"`,
    section('NAME'),
    `${NAME} \\- output commit for replicated virtual machines`,
    section('SYNOPSIS'),
    `.B ${NAME}`,
    '.I command',
    '[options]',
    section('DESCRIPTION'),
    text(program.description()),
    '.PP',
    text('It sits between the tap of a VM and the network, or takes captures. The commands, one by one:'),
    ...tagged(leaves(program).map((command) => [pathOf(command), command.description()])),
    section('OPTIONS'),
    ...tagged(help.visibleOptions(program).map((option) => [option.flags, help.optionDescription(option)])),
    section('COMMANDS'),
    ...everyCommand(program).flatMap((command) => aboutCommand(command, help)),
    section('EXIT STATUS'),
    ...tagged(EXIT_STATUS),
    section('ENVIRONMENT'),
    ...tagged(ENVIRONMENT),
    section('FILES'),
    ...tagged(FILES),
    section('SEE ALSO'),
    text(
      'The documentation that is installed with it: the rule language, the configuration, metrics, and how to deploy it.',
    ),
  ];
  return `${parts.join('\n')}\n`;
}

/** Commands as they are called; groups such as `rules` come before theirs. */
function everyCommand(command: Command): Command[] {
  return command.commands.flatMap((one) => [one, ...everyCommand(one)]);
}

function leaves(program: Command): Command[] {
  return everyCommand(program).filter((one) => one.commands.length === 0);
}

function pathOf(command: Command): string {
  const { parent } = command;
  return parent === null || parent.parent === null ? command.name() : `${pathOf(parent)} ${command.name()}`;
}

function aboutCommand(command: Command, help: Help): string[] {
  const inner = command.commands.map((one) => [pathOf(one), one.description()] as const);
  return [
    `.SS ${escaped(pathOf(command))}`,
    `.B ${escaped(help.commandUsage(command))}`,
    '.PP',
    text(command.description()),
    ...tagged(help.visibleArguments(command).map((one) => [one.name(), help.argumentDescription(one)])),
    ...tagged(inner),
    ...tagged(
      help
        .visibleOptions(command)
        .filter((option) => option.long !== '--help')
        .map((option) => [option.flags, help.optionDescription(option)]),
    ),
    ...helpText(command),
  ];
}

/** What `addHelpText` puts below a command's help: paragraphs, and lines that begin with a blank, which stay as they are. */
function helpText(command: Command): string[] {
  const written: string[] = [];
  const output = command.configureOutput();
  command.configureOutput({ ...output, writeOut: (part) => written.push(part) });
  command.outputHelp();
  command.configureOutput(output);
  // The first piece is what commander itself says.
  const lines = written.slice(1).join('').trim().split('\n');
  const out: string[] = [];
  let verbatim = false;
  const setVerbatim = (on: boolean) => {
    if (on !== verbatim) out.push(on ? '.PP\n.nf' : '.fi\n.PP');
    verbatim = on;
  };
  let apart = true;
  for (const line of lines) {
    if (line === '') {
      apart = true;
      continue;
    }
    const stays = line.startsWith(' ');
    if (stays === verbatim && apart) out.push(stays ? '' : '.PP');
    setVerbatim(stays);
    out.push(text(line));
    apart = false;
  }
  setVerbatim(false);
  if (out.at(-1) === '.fi\n.PP') out[out.length - 1] = '.fi';
  return lines.length === 1 && lines[0] === '' ? [] : out;
}

function section(name: string): string {
  return `.SH ${name.includes(' ') ? `"${name}"` : name}`;
}

function tagged(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([tag, what]) => ['.TP', `.B ${escaped(tag)}`, text(what)]);
}

/** A line of text: roff takes one that begins with a dot or an apostrophe as a request. */
function text(line: string): string {
  const safe = escaped(line);
  return /^[.']/.test(safe) ? `\\&${safe}` : safe;
}

/** Characters that mean something to roff, and those beyond ASCII. */
function escaped(line: string): string {
  return line
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(
      /[^\n -~]/gu,
      (character) => `\\[u${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]`,
    );
}
