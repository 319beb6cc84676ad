import { createReadStream } from 'node:fs';
import type { GatewayConfig } from './config.ts';
import type { NamedTlsFiles } from './config-listen.ts';
import { type ConfigError, ConfigInvalidError, ConfigProblems, ConfigUnreadableError } from './config-problem.ts';
import { type NamedRules, readConfig } from './config-schema.ts';
import { readYaml } from './config-yaml.ts';

/** Some hundred VMs fit. */
const MAX_CONFIG_BYTES = 256 * 1024;

/**
 * Reads a YAML configuration file; see CONFIG.md. Rule files that it names are not opened. Relative paths in it are relative to
 * its folder; those of the result are absolute.
 * @throws ConfigInvalidError with all errors; ConfigUnreadableError if the file cannot be read or is too large
 */
export async function loadConfig(path: string): Promise<GatewayConfig> {
  const { config, errors } = parseConfig(await readConfigFile(path), path);
  if (config === null) throw new ConfigInvalidError(errors);
  return config;
}

interface ParsedConfig {
  /** Null if there are errors. */
  readonly config: GatewayConfig | null;
  readonly errors: readonly ConfigError[];
  /** Every rule file that is named, whatever else is wrong. */
  readonly rules: readonly NamedRules[];
  /** PEM files of every listener, if there are no errors. */
  readonly tlsFiles: readonly NamedTlsFiles[];
}

/** @param file the name that places carry; relative paths in the text are relative to its folder */
export function parseConfig(text: string, file: string): ParsedConfig {
  const problems = new ConfigProblems();
  const root = readYaml(text, file, problems);
  const read = root === null ? null : readConfig(root, problems);
  return {
    config: problems.count > 0 ? null : (read?.config ?? null),
    errors: problems.errors,
    rules: read?.rules ?? [],
    tlsFiles: problems.count > 0 ? [] : (read?.tlsFiles ?? []),
  };
}

/** @throws ConfigUnreadableError */
export async function readConfigFile(path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path)) {
      bytes += chunk.length;
      if (bytes > MAX_CONFIG_BYTES) throw new RangeError(`it is larger than ${MAX_CONFIG_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw new ConfigUnreadableError(path, explain(error));
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
};

function explain(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? (error instanceof Error ? error.message : String(error));
}
