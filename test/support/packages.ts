import { createRequire } from 'node:module';

/** Why an optional package cannot be used here; null where it can. */
export function missingPackage(name: string): string | null {
  try {
    createRequire(import.meta.url)(name);
    return null;
  } catch (error) {
    return `${name} does not load: ${(error as Error).message.split('\n')[0]}`;
  }
}
