import type { Command } from 'commander';
import { jsonOption } from './arguments.ts';

/** Adds `holdfast doctor`. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      'Look whether this machine can run the gateway, and say what to do about what it lacks. Changes nothing.',
    )
    .argument('[device...]', 'network devices that shall be ports: looked at one by one')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Examples:
  holdfast doctor
  sudo holdfast doctor tap0 eth1

Without root it says what it could not look at.
Exit code: 0 nothing failed, also with warnings; 1 something failed; 2 wrong usage.`,
    )
    .action(async (devices: string[], options: { readonly json?: boolean }) => {
      const { doctor } = await import('./doctor.ts');
      process.exitCode = doctor(devices, options.json === true);
    });
}
