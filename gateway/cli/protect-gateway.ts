import { HostClient, HostClientError, type HostClientOptions } from '../host/client.ts';
import { addressText } from '../host/connect.ts';
import { chosenVm, failureOf } from './with-host.ts';

const RETRY_MS = 500;
/** What no gateway mends by being started. */
const LASTING: readonly unknown[] = ['EACCES', 'EPERM', 'ENOTSOCK', 'ENOTDIR', 'ELOOP'];

/**
 * Waits until a gateway answers.
 * @param wanted a VM's name; null: the only one that it has
 * @param onWait is told why, once for each reason
 * @param stopped resolves when nobody wants to wait any more
 * @returns as `chosenVm`; null where it was stopped
 * @throws what waiting does not mend: RequestError, Failure; HostClientError
 */
export async function gatewayThere(
  options: HostClientOptions,
  wanted: string | null,
  onWait: (why: string) => void,
  stopped: Promise<void>,
): Promise<Awaited<ReturnType<typeof chosenVm>> | null> {
  const isStopped = stopped.then(() => null);
  for (let told = ''; ; ) {
    const host = new HostClient({ ...options, mustBeThere: true });
    try {
      return await Promise.race([chosenVm(host, wanted), isStopped]);
    } catch (error) {
      if (!isEarly(error)) throw error;
      const why = whyOf(error, addressText(options));
      if (why !== told) onWait(why);
      told = why;
    } finally {
      host.close();
    }
    if (!(await isRested(stopped))) return null;
  }
}

/** @returns after a while true; false as soon as it is stopped */
function isRested(stopped: Promise<void>): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), RETRY_MS);
    void stopped.then(() => {
      clearTimeout(timer);
      resolve(false);
    });
  });
}

/** Nobody answers: yet, it may be. */
function isEarly(error: unknown): error is HostClientError {
  if (!(error instanceof HostClientError)) return false;
  if (error.code !== 'unreachable') return error.code === 'timeout' || error.code === 'answer-lost';
  const { code, syscall } = (error.cause ?? { syscall: 'connect' }) as { code?: unknown; syscall?: unknown };
  // Else it is a file of ours, or a certificate that is not believed.
  return (syscall === 'connect' || syscall === 'read' || syscall === 'write') && !LASTING.includes(code);
}

function whyOf(error: HostClientError, path: string): string {
  if (error.code !== 'unreachable') return `the gateway at ${path} does not answer`;
  return (failureOf(error, path, false) as Error).message;
}
