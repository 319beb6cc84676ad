import type { Method, ParamsOf, Results } from './api.ts';
import type { RequestError } from './protocol.ts';

/**
 * What may be asked again when the answer was lost, because asking twice does no more than asking once. The others (start, takeover,
 * rollback, failover, stop) begin or end a term: whether to do that again is for the driver to say, who looks at `hello` first.
 */
const REPEATABLE: ReadonlySet<Method> = new Set([
  'hello',
  'checkpoint.seal',
  'checkpoint.commit',
  'checkpoint.abort',
  'vm.addresses',
  'vm.announce',
  'vm.quiesce',
  'vm.resume',
  'flow.declare',
  'set.add',
  'set.delete',
  'set.list',
  'rules.list',
  'rules.diff',
  'rules.text',
  'rules.history',
  'rules.audit',
  'trace.start',
  'trace.stop',
  'status',
  'metrics',
  'events.subscribe',
]);

export function isRepeatable(method: Method): boolean {
  return REPEATABLE.has(method);
}

/**
 * What a refusal of a repeated request means: that the first one was granted.
 * @param status asks for the state of the VM now
 * @returns the answer that was lost, as far as it can still be known, or null: it is a refusal
 */
export async function lostAnswer<M extends Method>(
  method: M,
  params: ParamsOf<M>,
  { code }: RequestError,
  status: () => Promise<Results['status']>,
): Promise<Results[M] | null> {
  if (method === 'checkpoint.seal' && code === 'epoch-sealed') {
    const { vm: name, epoch } = params as ParamsOf<'checkpoint.seal'>;
    const vm = (await status()).vms.find((one) => one.vm === name);
    // Whether everything was read is not known any more, and 'no' is what never promises too much.
    const answer = {
      openEpoch: epoch + 1,
      drained: false,
      heldFrames: vm?.heldFrames ?? 0,
      heldBytes: vm?.heldBytes ?? 0,
    };
    return answer as Results[M];
  }
  if (method === 'checkpoint.abort' && code === 'epoch-aborted') return { movedFrames: 0 } as Results[M];
  return null;
}
